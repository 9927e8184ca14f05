#!/bin/bash
# The README's example is a spec, and the mistake it shows looks like that.
. "$(dirname "$0")/lib.sh"
awk '/^```/ {on = !on; text = ""; next} on {text = text $0 "\n"} on && /^}/ {printf "%s", text; exit}' "$SOURCE/README.md" >cnn.wmap
has cnn.wmap 'wmap 1'
run 0 check cnn.wmap
sed -i 's/(c h w)/(c h v)/' cnn.wmap
run 1 check cnn.wmap
awk '/^cnn.wmap:/ {on = 1} /^```/ {on = 0} on' "$SOURCE/README.md" >shown
diff -u shown err || fail "README.md shows another message"
# every file that it links to is there
grep -o '](\([^)#:]*\))' "$SOURCE/README.md" | sed 's/](//; s/)//' | sort -u | while read -r path; do
    [ -e "$SOURCE/$path" ] || echo "$path"
done >missing
empty missing
finish
