set -e
set -o pipefail
exit_code=0
cd
umask 022
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}
if [ "$PWD" = / ] && id -u alice > /dev/null 2>&1; then
    pkill -KILL -u alice || true
    userdel alice
fi
if [ -d home/alice ]; then
    install -d -m 0700 home/.deleted
    mv -T home/alice home/.deleted/alice."$(date +%s)"
fi
exit $exit_code
