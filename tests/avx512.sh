#!/bin/bash
# Runs tests of the library, each on its own, on an emulated processor with AVX-512 (Bochs):
#
#     tests/avx512.sh kernels::lanes kernels::gemm
#
# For Debian 12, with: apt-get install bochs isolinux syslinux-common xorriso cpio
# It starts in a minute or two; tests take some 100 times as long as on a processor.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$work"/{packages,disc,root/{bin,proc,dev,tmp}}

binary=$(cargo test --release --lib --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
strip -o "$work/root/test" "$binary"
mkdir -p "$work/root$PWD"
cp -r fixtures "$work/root$PWD" # which tests read
"$binary" --list "$@" | sed -n 's/: test$//p' >"$work/root/list"
ldd "$binary" | grep -o '/[^ ]*' | while read -r library; do install -D "$library" "$work/root$library"; done

kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')
(cd "$work/packages" && apt-get download "$kernel" busybox-static)
for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work/packages"; done
cp "$work/packages/bin/busybox" "$work/root/bin"
cat >"$work/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc && mount -t devtmpfs devtmpfs /dev && exec >/dev/ttyS0 2>&1
for feature in avx512f avx512vl avx512bw avx512dq; do
    grep -qw $feature /proc/cpuinfo || echo "FAILED: no $feature"
done
while read -r test; do
    if /test --exact "$test" --nocapture >/tmp/out 2>&1 </dev/null && grep -q '1 passed' /tmp/out; then
        echo "passed $test"
    else
        echo "FAILED $test" && cat /tmp/out
    fi
done </list
echo "all have run"
sleep 3 # for what is still on the serial line
poweroff -f
INIT
chmod +x "$work/root/init"

(cd "$work/root" && find . | cpio --quiet -o -H newc >"$work/disc/initrd")
cp "$work"/packages/boot/vmlinuz-* "$work/disc/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/disc"
# Bochs gives the size of a compact XSAVE area wrongly, and Linux then does without AVX.
cat >"$work/disc/isolinux.cfg" <<'BOOT'
default linux
label linux
    kernel vmlinuz
    append initrd=initrd rdinit=/init console=ttyS0 quiet mitigations=off init_on_alloc=0 clearcpuid=xsaves,xsavec
BOOT
xorriso -as mkisofs -quiet -o "$work/disc.iso" -b isolinux.bin -no-emul-boot -boot-load-size 4 -boot-info-table "$work/disc"
cat >"$work/bochsrc" <<BOCHS
display_library: rfb, options="timeout=0"
cpu: model=corei7_skylake_x, ips=100000000, ignore_bad_msrs=1
memory: guest=1536, host=1536
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
log: $work/log
panic: action=fatal
error: action=ignore
BOCHS
echo c >"$work/continue"
: >"$work/serial"
bochs -f "$work/bochsrc" -rc "$work/continue" >/dev/null 2>&1 & # ends with a panic: the power is off
tail -f --pid=$! "$work/serial" | tee "$work/said"
grep -q "^all have run" "$work/said" && ! grep -q "^FAILED" "$work/said"
