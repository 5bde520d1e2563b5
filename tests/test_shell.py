"""Templates of shell text: what arrives as an argument is the value, and nothing else runs."""

import pickle
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestration.exceptions import UnsafeTemplate
from orchestration.shell import MASK, Raw, Secret, Shell, mask, refuse_open, replace, sh

SHELLS = ["bash", "dash"]
#: Anything that a shell can be given: all of Unicode without NUL and surrogates.
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def arguments(shell, command, cwd=None):
    """Return what a command that is called ``show`` in the script was given."""
    script = "show() { for word; do printf '%s\\0' \"$word\"; done; }\n" + command
    done = subprocess.run(
        [shell, "-s"], input=script.encode(), capture_output=True, check=True, timeout=10, cwd=cwd
    )
    return [word.decode() for word in done.stdout.split(b"\0")[:-1]]


# Values


@pytest.mark.lesson(25)
@pytest.mark.lesson(26)
@pytest.mark.parametrize("shell", SHELLS)
@SLOW
@example(["pass\r\nword\r", '"quoted"', "\n"], "\r\n")
@given(st.lists(TEXTS, min_size=1, max_size=5), TEXTS)
@example(
    ["x; touch PWNED", "$(touch PWNED)", "`touch PWNED`", "'", "\\", "a\nb", "", "-n", "~", "*", "!"], "EOF"
)
def test_what_arrives_is_the_value(shell, values, glued):
    command = sh("show %(all)s %(glued)s pre/%(glued)s/post", {"all": values, "glued": glued})
    assert arguments(shell, command) == [*values, glued, f"pre/{glued}/post"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("web1", "web1"),
        ("/home/web1", "/home/web1"),
        ("a b", "'a b'"),
        ("", "''"),
        ("it's", "'it'\"'\"'s'"),
        (5, "5"),
        (1.5, "1.5"),
        (Decimal("2.50"), "2.50"),
        (True, "True"),
        (Path("/srv/a b"), "'/srv/a b'"),
        (gettext_lazy("yes sir"), "'yes sir'"),
        (mark_safe("<b>"), "'<b>'"),
        ("done", "'done'"),
        ("A=1", "'A=1'"),
        ("a,b", "'a,b'"),
        ("1..3", "'1..3'"),
        (["a", "b c", 3], "a 'b c' 3"),
        ((), ""),
        (Raw("$HOME"), "$HOME"),
        (b"bytes", "bytes"),
    ],
)
def test_values_are_quoted_when_they_need_it(value, text):
    assert sh("show %(x)s", {"x": value}) == f"show {text}"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "None"),
        ("a\0b", "NUL"),
        ("\udc80", "UTF-8"),
        (b"\xff", "UTF-8"),
        ({"a": 1}, "dict"),
        ({1}, "set"),
        (object(), "object"),
        (len, "called"),
        ((x for x in "ab"), "generator"),
        ([None], "None"),
    ],
)
def test_a_value_without_text_is_refused_by_name(value, reason):
    with pytest.raises(UnsafeTemplate, match=rf"Line 2: %\(x\)s .*{reason}"):
        sh("true\nshow %(x)s", {"x": value})


def test_a_missing_value_is_named_with_those_that_are_there():
    with pytest.raises(UnsafeTemplate, match=r"Line 1: the context has no 'usr'.*: user\."):
        sh("show %(usr)s", {"user": "web1"})


def test_percent_signs_are_doubled_in_templates():
    assert sh("date +%%s %(x)s", {"x": 1}) == "date +%s 1"
    with pytest.raises(UnsafeTemplate, match="Line 2: write %%"):
        sh("\ndate +%s", {})


def test_a_number_before_a_redirection_stays_an_argument(tmp_path):
    assert arguments("bash", sh("show %(n)s>&1", {"n": 2}), cwd=tmp_path) == ["2"]


@pytest.mark.parametrize("template", ["x=%(x)s", "show a%(x)s", "show %(x)s/b", "show %(x)s>f"])
def test_a_list_stands_alone(template):
    with pytest.raises(UnsafeTemplate, match="must stand alone"):
        sh(template, {"x": ["a", "b"]})


# Places


@pytest.mark.lesson(26)
@pytest.mark.parametrize(
    ("template", "where"),
    [
        ("echo '%(x)s'", "single quotes"),
        ('echo "%(x)s"', "double quotes"),
        ("echo $'%(x)s'", "quotes"),
        ('echo "$(echo "%(x)s")"', "double quotes"),
        ("true # %(x)s", "comment"),
        ("cat <<EOF\n%(x)s\nEOF", "heredoc"),
        ("cat <<'EOF'\n%(x)s\nEOF", "heredoc"),
        ("cat <<-EOF | cat\n\t%(x)s\n\tEOF", "heredoc"),
        ("cat <<%(x)s\n%(x)s", "delimiter"),
        ("cat <<EOF%(x)s\nEOF", "delimiter"),
        ("echo $((%(x)s + 1))", "arithmetic"),
        ("((a = %(x)s))", "arithmetic"),
        ("echo `basename %(x)s`", "backticks"),
        ("echo ${a:-%(x)s}", r"\$\{"),
        ("echo \\%(x)s", "backslash"),
        ("echo $%(x)s", r"behind a \$"),
        ("a[%(x)s]=1", "brackets"),
        ("a=([%(x)s]=1)", "brackets"),
        ("[[ %(x)s -eq 1 ]]", "numeric test"),
        ("[[ -v %(x)s ]]", "numeric test"),
        ("echo >&%(x)s", "expands twice"),
        ("eval %(x)s", "argument of eval"),
        ("eval >&2 $(echo %(x)s)", "argument of eval"),
        ("true; let a=%(x)s", "argument of let"),
        ("let \\\n%(x)s", "argument of let"),
        ("unset a %(x)s", "argument of unset"),
        ("read %(x)s", "argument of read"),
        ("while IFS= read -r a %(x)s; do true; done", "argument of read"),
        ("trap %(x)s EXIT", "argument of trap"),
        ("mapfile -C %(x)s -c 1 a <file", "argument of mapfile"),
        ("{ declare %(x)s=1; }", "argument of declare"),
        ("f() { local a=1 b%(x)s=1; }", "argument of local"),
        ("local -i a=%(x)s", "argument of local"),
        ("then readonly -xa a=%(x)s", "argument of readonly"),
        ("test ! -v %(x)s", "argument of test"),
        ("if [ -v a%(x)s ]; then true; fi", r"argument of \["),
        ("printf -v %(x)s text", "argument of printf"),
        ("echo 2>& \\\n a%(x)s", "expands twice"),
        ("cat <&%(x)s", "expands twice"),
    ],
)
def test_a_place_where_quotes_do_not_protect_is_refused(template, where):
    with pytest.raises(UnsafeTemplate, match=rf"Line [12]: %\(x\)s is .*{where}"):
        sh(template, {"x": "value"})


@pytest.mark.parametrize(
    "template",
    [
        "echo 'open %%",
        'echo "open',
        "echo `open",
        "echo ${open",
        'echo "$(open"',
        "cat <<EOF\nopen",
        "cat <<EOF",
        "echo $(( 1 + 2",
        "echo $[ 1 ]",
        "echo (a)# comment?",
        '"$(case a in a) echo "b";; esac)"',
        "cat <<EOF\nopen \\\nEOF\n",
        "x=$(cat <<EOF\nEOF)\nEOF\n)",
        "cat <<EOF $(true)\nEOF",
        "cat <<EOF 'a\nb'\nEOF",
        "echo a\\\nb",
        "cat <\\\n<EOF\nEOF",
        "true $(true)\\\n#",
        'echo "$\\\n(true)"',
        "exec 3<&-#",
        'echo "$(echo',
        "a=(1 2; 3)",
        "a=(1 2",
        "echo ${ true; }",
        "echo \"${a:-'b'}\"",
        "echo `echo \\`true\\``",
        "cat <<$x\n$x",
        "((1 << 2))",
        "((true) && true)",
        "echo $'a\\'b'",
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_line(template):
    with pytest.raises(UnsafeTemplate, match=r"Line \d+: "):
        sh(f"{template}\necho %(x)s", {"x": "value"})


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "template",
    [
        "a='b c' ; show %(x)s",
        'show "$(printf %%s %(x)s)"',
        'show "$(printf "%%s" "$(printf %%s %(x)s)")"',
        "show $(true)%(x)s",
        "cat <<'EOF' >/dev/null\nit's\nEOF\nshow %(x)s",
        "y=$(cat <<EOF\n$HOME \\' `true`\nEOF\n)\nshow %(x)s",
        "cat <<-EOF >/dev/null\n\tx\n\tEOF\nshow %(x)s",
        "cat <<'E O'F >/dev/null\n'\nE OF\nshow %(x)s",
        "cat <<\\EOF >/dev/null 3<<''\n'\nEOF\n'\n\nshow %(x)s",
        "if [ %(x)s = 1 ]; then true; else show %(x)s; fi",
        'f() { export a=%(x)s b; show "$a"; }; f',
        "trap true EXIT; echo read %(x)s >/dev/null; show %(x)s",
        "case %(x)s in %(x)s) show %(x)s;; esac",
        "( true\nshow %(x)s ) 9>/dev/null",
        "for w in %(x)s; do show $((1 << 2 >> 2))$# >/dev/null; done; show %(x)s # it's it",
        "y=a#b; show %(x)s",
        "show \\\n  %(x)s \\\n",
        "exec 3<&- 3>&1 >&2 2>&1; true >/dev/null 2>&1; show %(x)s >&3",
        "y=${z:-it}; y=${y#i}; show %(x)s",
        "y=${z:-'a b'} y=${z:-\"a b\"}; show %(x)s",
        "show %(x)s # `",
        "y=`basename 'a b'`; show %(x)s",
        "y=$((16 - 1)); show %(x)s",
    ],
)
def test_ordinary_shell_works(shell, template):
    assert arguments(shell, sh(template, {"x": 'it\'s; "$(x)" \\'})) == ['it\'s; "$(x)" \\']


@pytest.mark.parametrize(
    "template",
    [
        "diff <(printf %%s %(x)s) <(printf %%s %(x)s) && show %(x)s",
        "[[ -n %(x)s && %(x)s == %(x)s ]] && show %(x)s",
        'a=(1 %(x)s $(true)); show "${a[1]}"',
        'a[0]=%(x)s; show "${a[0]}"',
        'read -r y <<<%(x)s; show "$y"',
        "for ((i = 0; i < 1; i++)); do show %(x)s; done",
        "y=$'a\\nb'; show %(x)s",
        'y=$"a\\"b"; show %(x)s',
    ],
)
def test_ordinary_bash_works(template):
    assert arguments("bash", sh(template, {"x": "it's $(x) `y`"})) == ["it's $(x) `y`"]


PIECES = [
    "'",
    '"',
    "`",
    "$(",
    ")",
    "(",
    "((",
    "))",
    "$((",
    "${x:-",
    "}",
    "\\",
    "\n",
    " ",
    " #",
    "echo ",
    "a=",
]
PIECES += [
    ">&",
    "\\\n",
    "3",
    "eval ",
    "<<EOF",
    "\nEOF\n",
    "<<'EOF'",
    "<<<",
    "$'",
    "$",
    "[[ ",
    " ]]",
    " -eq ",
    "a[",
    "]=",
    ";",
    "&&",
    "|",
    "%%",
]
ATTACKS = ["'; touch PWNED; '", '"; touch PWNED; "', "$(touch PWNED)", "\ntouch PWNED\n", "a[$(touch PWNED)]"]
ATTACKS += ["x\nEOF\ntouch PWNED\n", ")) ; touch PWNED #", "\\'; touch PWNED #", "\\", "`touch PWNED`"]


def _was_run(path):
    """Tell whether an attack has left its file, and take it away."""
    is_there = path.exists()
    path.unlink(missing_ok=True)
    return is_there


@pytest.mark.lesson(26)
@pytest.mark.parametrize("shell", SHELLS)
@settings(SLOW, max_examples=150)
@given(
    before=st.lists(st.sampled_from(PIECES), max_size=6), after=st.lists(st.sampled_from(PIECES), max_size=6)
)
@example(before=["a=", "(", " "], after=["\n", "&&", " "])
def test_no_template_lets_a_value_run(shell, before, after, tmp_path):
    template = "".join([*before, "%(x)s", *after])
    for attack in ATTACKS:
        try:
            script = sh(template, {"x": attack})
        except UnsafeTemplate:
            return
        subprocess.run(
            [shell, "-c", script], cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL, timeout=10
        )
        assert not _was_run(tmp_path / "PWNED"), script


def test_a_template_cannot_end_within_a_line():
    with pytest.raises(UnsafeTemplate, match="Line 1: the last line goes on"):
        sh("echo %(x)s \\", {"x": "value"})


def test_literal_text_that_leaves_a_quote_open_is_found():
    refuse_open("echo 'it is whole'")
    with pytest.raises(UnsafeTemplate, match="does not end"):
        refuse_open("echo 'it is")


# Secrets


def test_a_secret_is_filled_in_and_masked_where_it_is_shown():
    filled = sh("login %(user)s %(password)s", {"user": "ann", "password": Secret("it's me")})
    assert filled == "login ann 'it'\"'\"'s me'"
    assert filled.shown == f"login ann {MASK}"
    assert "it's me" in filled.secrets


def test_a_secret_stays_known_through_lists_and_commands_in_commands():
    inner = sh("login %(all)s", {"all": ["ann", Secret("s3cret")]})
    outer = sh("su -c %(command)s", {"command": inner})
    assert outer == "su -c 'login ann s3cret'"
    assert outer.shown == f"su -c 'login ann {MASK}'"
    assert outer.secrets == ("s3cret",)
    assert sh("%(command)s", {"command": Raw(inner)}).shown == f"login ann {MASK}"


def test_lines_of_a_secret_of_many_lines_are_masked_alone_too():
    key = "-----BEGIN KEY-----\nabcdefghijkl\n-----END KEY-----"
    assert mask("found abcdefghijkl", sh("%(x)s", {"x": Secret(key)}).secrets) == f"found {MASK}"


@pytest.mark.parametrize("written", [str, "{}".format, "%s".__mod__, lambda s: "%(x)s".__mod__({"x": s})])
def test_a_secret_cannot_be_formatted_past_the_mask(written):
    with pytest.raises(UnsafeTemplate, match="append"):
        written(Secret("s3cret"))


def test_a_secret_does_not_show_in_representations():
    assert "s3cret" not in repr({"x": Secret("s3cret")})
    assert Secret(Secret(5)) == Secret("5")
    assert hash(Secret("a")) == hash(Secret("a"))


def test_longer_secrets_are_masked_before_those_within_them():
    assert mask("abc ab *", ["ab", "abc", "", "*"]) == f"{MASK} {MASK} {MASK}"


def test_shell_text_with_secrets_can_be_pickled():
    text = sh("%(x)s", {"x": Secret("s3cret")})
    again = pickle.loads(pickle.dumps(text))
    assert (type(again), again, again.shown, again.secrets) == (Shell, text, text.shown, text.secrets)


# replace()


def test_replace_returns_a_new_context_however_deep():
    context = {"a": 'x"y', "b": ['"'], "c": {"d": ('"', 5)}, "raw": Raw('"'), "secret": Secret('"')}
    assert replace(context, '"', "'") == {
        "a": "x'y",
        "b": ["'"],
        "c": {"d": ("'", 5)},
        "raw": '"',
        "secret": Secret('"'),
    }
    assert context["a"] == 'x"y'
