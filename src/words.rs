//! Numbers in sentences.

/// `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2,000 samples`, `1 sample`, `3 classes`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let ending = match count {
        1 => "",
        _ if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {what}{ending}", thousands(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_one_is_singular() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (61_706, "61,706")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(thousands(1_234_567), "1,234,567");
        for (count, what, text) in [
            (1, "unit", "1 unit"),
            (0, "unit", "0 units"),
            (2000, "unit", "2,000 units"),
            (1, "class", "1 class"),
            (2, "class", "2 classes"),
        ] {
            assert_eq!(counted(count, what), text);
        }
    }
}
