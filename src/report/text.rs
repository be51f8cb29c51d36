//! Text that goes into a page or a picture.

/// Text as HTML and SVG take it, in elements and in quoted attributes. What neither may hold is left out.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' | '\r' => escaped.push(' '),
            // Characters that XML has no way to write, and marks that turn the direction of text about.
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {}
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// How wide a text is, in pixels: no font that a page may find is known, so the widest of the usual ones
/// (DejaVu, Verdana) is supposed.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '\'' => 0.29,
            'I' | '.' | ',' | ':' | ';' | '|' | '!' | ' ' | '·' => 0.34,
            'f' | 't' | 'r' | '(' | ')' | '-' | '/' | '[' | ']' => 0.42,
            'm' | 'M' | 'W' | '@' | '%' => 1.0,
            'w' | '−' | '+' | '×' | '=' | '→' => 0.85,
            c if c.is_ascii_uppercase() => 0.72,
            c if c.is_ascii() => 0.64,
            c if c < '\u{1100}' => 0.72,
            _ => 1.05,
        })
        .sum();
    em * size
}

/// The text, or its beginning and `…` where it is wider than that many pixels.
pub(super) fn fit(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_string();
    }
    let mut fitting = String::new();
    for c in text.chars() {
        fitting.push(c);
        if width(&fitting, size) + width("…", size) > most {
            fitting.pop();
            break;
        }
    }
    fitting.truncate(fitting.trim_end().len());
    fitting + "…"
}

/// Lines of at most so many pixels, broken at spaces.
pub(super) fn wrap(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a line");
        let longer = if line.is_empty() { word.to_string() } else { format!("{line} {word}") };
        if line.is_empty() || width(&longer, size) <= most {
            *line = longer;
        } else {
            lines.push(word.to_string());
        }
    }
    lines.iter().map(|line| fit(line, size, most)).collect()
}

/// A name as a part of a file name.
pub(super) fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    name.chars().take(40).map(plain).collect()
}

/// `28 × 28 × 6`.
pub(super) fn dims(shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    if dims.is_empty() { "1".to_string() } else { dims.join(" × ") }
}

/// A count in four characters at most: `9999`, `12k`, `3M`.
pub(super) fn short(count: usize) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1000),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// A number with three digits that count.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let digits = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size < 1e-4 => return format!("{value:.2e}").replace('-', "−"),
        size => (2 - size.log10().floor() as i32).max(0) as usize,
    };
    format!("{value:.digits$}").replace('-', "−")
}

/// `98.2 %`, or the score as it is where it is no probability. Only a 1 is 100 %.
pub(super) fn sure(score: f32) -> String {
    match 100.0 * score {
        percent if percent > 99.9 && score < 1.0 => "over 99.9 %".to_string(),
        percent if (0.0..=100.0).contains(&percent) => format!("{percent:.1} %"),
        _ => format!("with {}", number(score.into())),
    }
}

/// A number at an axis, which is a round one, as short as it is.
pub(super) fn tick(value: f64) -> String {
    let size = value.abs();
    if size > 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{value:.1e}").replace('-', "−");
        return text.replacen(".0e", "e", 1);
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_probability_is_100_percent() {
        for (score, text) in [
            (0.0, "0.0 %"),
            (0.982, "98.2 %"),
            (0.999, "99.9 %"),
            (0.99999, "over 99.9 %"),
            (1.0, "100.0 %"),
            (1.5, "with 1.50"),
            (-0.5, "with −0.500"),
        ] {
            assert_eq!(sure(score), text);
        }
    }

    #[test]
    fn ticks_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (1.25, "1.25"),
            (20.0, "20"),
            (-0.5, "−0.5"),
            (2e-5, "2e−5"),
            (3e7, "3e7"),
        ] {
            assert_eq!(tick(value), text);
        }
    }

    #[test]
    fn nothing_that_is_escaped_has_a_tag_or_a_quote() {
        let hostile = "<script>alert('x')</script> \"&\u{0}\u{1b}\n\u{202E}é";
        let safe = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp; é";
        assert_eq!(escape(hostile), safe);
    }

    #[test]
    fn what_is_too_wide_ends_in_dots() {
        assert_eq!(fit("Ankle boot", 12.0, 200.0), "Ankle boot");
        let cut = fit(&"Ankle boot ".repeat(100), 12.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0) <= 100.0, "{cut}");
        for line in wrap(&"height and width: (28 + 2·2 − 5)/1 + 1 = 28 ".repeat(3), 12.0, 150.0)
        {
            assert!(width(&line, 12.0) <= 150.0, "{line}");
        }
    }

    #[test]
    fn file_names_have_no_paths_in_them() {
        assert_eq!(slug("../../etc/passwd"), "------etc-passwd");
        assert!(slug(&"x".repeat(300)).len() <= 40);
    }

    #[test]
    fn numbers_keep_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.87345, "0.873"),
            (12.345, "12.3"),
            (1234.5, "1234"),
            (0.001, "0.00100"),
            (1.5e-7, "1.50e−7"),
            (-0.5, "−0.500"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
