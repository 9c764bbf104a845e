"""Patterns are tried only where they can match, and that hides nothing: what is masked is what every
pattern finds that is tried everywhere."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from unittest.mock import patch
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_redaction import HARMLESS, PLANTED, WAYS

from tollspan import redaction
from tollspan.instrumentation._wire_spelled import Spelled
from tollspan.redaction import Found, Redactor
from tollspan.redaction_base64 import SHORTEST_CODED, maybe_texts, opened
from tollspan.redaction_letters import LONG
from tollspan.redaction_names import _NAME, _VALUE, Names, _looks_secret
from tollspan.redaction_rules import BUILT_IN, Rule, Rules
from tollspan.redaction_views import _ESCAPE, MARKS, View, _meant, views

CODED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
SECRETS = [value for _, value in PLANTED.values()]
CUT = [value[at:] for value in SECRETS for at in (1, len(value) // 2)]
WORDS = [
    *("k-", "sk_", "csk-", "eyJ", "Bearer ", "bASIC  ", "://", "@", "ghp_", "AKIA", "ABSK", "xox"),
    *("dapi", "user:pa", "ann", "example.com", "-----BEGIN", "token", "Key", "secret_", "-token="),
    *('"password": ', "api_key=", "'client_secret' : '", '"sig":"', "[redacted:", "null", "true"),
    *('\\"', "\\n", "\\\\", "\\u002d", "\\x", "\\", "%2B", "%40", "%", '"', "'", " ", "\n", "\0"),
    *(".", ",", "{", "}", "(", ")", "+", "-", "/", "=", "==", "_", "1111 1111", "+49", "555"),
    *("2024-01-02", "0.0123", "abcdef0123456789", "é", "٣", "“", "😀", "²", "\ud800", "ａ"),
]
"""Words that texts with secrets are made of, whole and broken; what looks like digits and is none."""


def _wrapped(text: str) -> st.SearchStrategy[str]:
    plain = text.encode("utf-8", "surrogatepass")
    ways = [text, json.dumps({"a": text}), json.dumps(json.dumps(text)), quote(plain, safe="")]
    return st.sampled_from([*ways, f"x/{base64.b64encode(plain).decode()} "])


TEXTS = st.lists(
    st.lists(st.sampled_from([*SECRETS, *CUT, *WORDS, *HARMLESS]), min_size=1, max_size=6)
    .map("".join)
    .flatmap(_wrapped),
    min_size=1,
    max_size=4,
).map("".join)


def everywhere(text: str, rules: Rules, *, by_shape_only: bool) -> Iterator[Found]:
    """What the patterns find that are tried at every letter."""
    for rule in rules.rules:
        if by_shape_only and rule.of_digits:
            continue
        for match in _matches(rule, text):
            group = match.lastindex or 0
            if match[group] and (rule.check is None or rule.check(match[group])):
                yield Found(*match.span(group), rule.name, match[group])
    yield from _values(text, Names(rules))


def _matches(rule: Rule, text: str) -> Iterator[re.Match[str]]:
    if not rule.of_digits:
        yield from rule.pattern.finditer(text)
        return
    at = 0
    while (match := rule.pattern.search(text, at)) is not None:
        yield match
        at = match.start() + 1


def _values(text: str, names: Names) -> Iterator[Found]:
    done = 0
    for name in _NAME.finditer(text):
        kind = names.kind(name[1])
        if not kind or name.start() < done:
            continue
        value = _VALUE.match(text, name.end(), name.end() + 4096 if kind == "maybe" else len(text))
        if value is None:
            continue
        group = value.lastindex or 0
        said = value[group]
        if said.startswith("[redacted:") or said in ("null", "true", "false", "None"):
            continue
        if kind == "maybe" and not _looks_secret(said):
            continue
        done = value.end(group)
        yield Found(*value.span(group), "field" if kind == "field" else "named_secret", said)


class Plain(Redactor):
    """Looks at every letter with every pattern."""

    def _in(self, seen: object, *, by_shape_only: bool = False) -> Iterator[Found]:
        text: str = seen.text  # type: ignore[attr-defined]
        return everywhere(text, self.rules, by_shape_only=by_shape_only)

    def _in_view(self, view: View, seen: object) -> Iterator[Found]:
        return everywhere(view.text, self.rules, by_shape_only=False)


OWN = Rules(
    rules=(
        Rule("word", re.compile("ann ünal"), ("ann ünal",), begins=(0,)),
        Rule("order", re.compile(r"ORD-\d{2,4}")),
        *BUILT_IN,
    ),
    fields=("national_id",),
)


@settings(max_examples=150)
@given(TEXTS)
def test_what_is_masked_is_what_patterns_find_that_are_tried_everywhere(text: str) -> None:
    assert Redactor(key="k").found(text) == Plain(key="k").found(text)


@settings(max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.lists(st.integers(0, 60), min_size=3))
def test_so_it_is_in_long_texts_of_lines_with_few_escapes(texts: list[str], at: list[int]) -> None:
    lines = [*HARMLESS, *(value for value in SECRETS if "\n" not in value)] * 3
    for text, place in zip(texts, at, strict=False):
        lines.insert(place, text)
    whole = "\n".join(lines).replace("\\", "", max(0, "\n".join(lines).count("\\") - 6))

    assert Redactor(key="k").found(whole) == Plain(key="k").found(whole)


@pytest.mark.parametrize(
    "named",
    [
        '\\"password\\"\n\n\n: \\"{}\\"',
        "passw\\u006frd = '{}'",
        "a\\napi_key={}",
        "secret_key\\u003d{}",
    ],
)
def test_a_name_that_escapes_hide_in_a_long_text_is_found_with_all_of_its_value(named: str) -> None:
    far = "It is a line.\n" * 120
    text = far + named.format("planted12planted it goes on\n" * 20) + far
    found = Redactor().found(text)

    assert found == Plain().found(text)
    assert [each.rule for each in found] == ["named_secret"]


@settings(max_examples=40)
@given(TEXTS, st.sampled_from(["ann ünal", "ORD-123", 'national_id: "1-2"', "ORD-ann ünalORD-12"]))
def test_so_it_is_with_rules_of_the_users_own(text: str, own: str) -> None:
    assert Redactor(OWN).found(text + own) == Plain(OWN).found(text + own)


@pytest.mark.parametrize("way", WAYS)
def test_all_that_is_planted_is_found_between_a_lot_else(way: str) -> None:
    filling = f" {' '.join(HARMLESS)} " * 10
    text = filling.join(WAYS[way](value) for value in SECRETS)

    assert Redactor().found(text) == Plain().found(text)
    assert Redactor().text(text)[1].total() >= len(SECRETS)


@pytest.mark.parametrize("word", WORDS)
def test_so_it_is_where_a_text_is_full_of_what_matches_begin_with(word: str) -> None:
    for secret in SECRETS[::3]:
        text = f"{word * 40} {secret} {word * 40}{secret}"
        assert Redactor().found(text) == Plain().found(text)


@pytest.mark.parametrize("rule", [rule for rule in BUILT_IN if rule.coded], ids=lambda r: r.hints)
@settings(max_examples=25)
@given(data=st.data())
def test_what_a_rule_of_coded_letters_matches_begins_with_enough_of_them(
    rule: Rule, data: st.DataObject
) -> None:
    whole = data.draw(st.from_regex(rule.pattern)).strip()
    match = rule.pattern.search(whole)

    assert match is not None
    assert all(letter in CODED for letter in match[0][:LONG])
    assert len(match[0]) >= LONG


MANY = "\\n" * 700


@settings(max_examples=200)
@given(
    st.text(alphabet='\\"nu00416bxd8/\n:,', max_size=80),
    st.sampled_from(
        ["{}", "{}" + MANY, f'["{{}}{MANY}"]', f'["{MANY}{{}}', f'{{{{"{{}}":"{MANY}"}}}}']
    ),
)
def test_escapes_are_undone_as_one_by_one(text: str, way: str) -> None:
    text = way.format(text)
    view = next(views(text), None)

    assert (view.text if view else text) == _ESCAPE.sub(_meant, text)
    marks_only = {_meant(each) for each in _ESCAPE.finditer(text)} <= set(MARKS)
    assert view is None or marks_only or not view.has_marks_only


@pytest.mark.parametrize("around", ["\\n{}", f'["{MANY}{{}}"]', f"{MANY}{{}}"])
def test_a_text_is_known_whose_escapes_stand_for_no_letters(around: str) -> None:
    said = json.dumps('\n\r\t\b\f\\ and "')[1:-1]

    assert next(views(around.format(said))).has_marks_only
    for letter in ("\\u0073", "\\/", "\\s", "\\u00e9"):
        assert not next(views(around.format(said + letter))).has_marks_only


@settings(max_examples=150)
@given(
    st.recursive(
        st.one_of(st.text(alphabet='a\\"\n/é😀:,', max_size=9), st.integers(), st.booleans()),
        lambda more: (
            st.lists(more, max_size=3) | st.dictionaries(st.text('a"\\', max_size=3), more)
        ),
        max_leaves=9,
    ),
    st.sampled_from([None, 1]),
    st.sampled_from(["", ",", "]", '"', "{", "\0"]),
)
def test_an_outline_says_what_the_whole_says_but_for_its_strings(
    said: object, indent: int | None, more: str
) -> None:
    text = json.dumps({"a": said, "b": "\n" * 5000}, indent=indent, ensure_ascii=False)
    view = next(views(text))

    assert view.outline
    assert _outlined(json.loads(view.outline)) == _outlined(json.loads(text))
    broken = next(views(text + more))
    is_json, _ = redaction._document(text + more)
    assert not broken.outline or redaction._document(broken.outline)[0] is is_json


def _outlined(said: object) -> object:
    """`said` with whether a mark is in each string, in place of it."""
    if isinstance(said, dict):
        return {name: _outlined(each) for name, each in said.items()}
    if isinstance(said, list):
        return [_outlined(each) for each in said]
    return '"' in said or "\\" in said if isinstance(said, str) else said


@settings(max_examples=150)
@given(TEXTS)
def test_of_json_nothing_stays_but_what_is_cut_out_of_an_escape(text: str) -> None:
    ways = [{"password": text, "a": [text]}, [text] * 2, [{"token": text}, *[{"a": text}] * 9]]
    for whole in (*map(json.dumps, ways), json.dumps(ways[1], indent=1)):
        found = {at for each in Redactor().found(whole) for at in range(each.start, each.end)}
        with patch.object(redaction, "_document", lambda _: (False, None)):
            as_written = Redactor().found(whole)
        for each in as_written:
            escaped = "\\" in whole[max(0, each.start - 1) : each.end]
            assert escaped or found.issuperset(range(each.start, each.end))


@settings(max_examples=150)
@given(
    st.one_of(st.text(), st.binary(max_size=90)), st.sampled_from(["", "a", "ab", "abc", "abcd"])
)
def test_base64_is_opened_wherever_in_it_a_text_begins(said: str | bytes, before: str) -> None:
    plain = said.encode("utf-8", "surrogatepass") if isinstance(said, str) else said
    run = (before.encode() + base64.urlsafe_b64encode(plain)).rstrip(b"=")

    assert list(opened(run + b"0" * 16)) == list(_opened_plainly(run + b"0" * 16))
    if len(run) >= SHORTEST_CODED:
        assert list(opened(run)) == list(_opened_plainly(run))


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.text(CODED, min_size=1, max_size=40).map(str.encode),
            st.text(min_size=9, max_size=30).map(
                lambda said: base64.b64encode(said.encode("utf-8", "surrogatepass")).rstrip(b"=")
            ),
        )
    )
)
def test_only_what_says_no_text_stays_closed(runs: list[bytes]) -> None:
    long = [run for run in runs if len(run) >= SHORTEST_CODED]
    worth = maybe_texts(b"\n".join(runs))

    assert [list(opened(run)) for run in long if run not in worth] == [
        [] for run in long if run not in worth
    ]
    assert all(run in worth for run in long if any(_opened_plainly(run)))
    assert set(worth) <= set(long)


def _opened_plainly(run: bytes) -> Iterator[str]:
    for shift in range(4):
        part = run[shift:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        found = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        try:
            yield found.decode()
        except UnicodeDecodeError as error:
            if error.start >= min(24, len(found) - 3):
                yield found.decode("latin-1")


# --- what events spell out together ---------------------------------------------------------------


def _event(texts: Sequence[str], shape: int, number: int) -> str:
    """A JSON event with pieces in it, of one of several shapes."""
    first, second = texts
    shapes: list[object] = [
        {"id": "x", "choices": [{"index": 0, "delta": {"content": first}}]},
        {"n": number, "item_id": f"i{number % 2}", "delta": first, "more": second},
        {"choices": [{"index": i, "delta": {"content": t}} for i, t in enumerate(texts)]},
        {"choices": [{"index": number % 2, "text": first}], "obfuscation": second},
        [first, {"delta": {"a": second}}],
        {"delta": second, "d": {"delta": first}, "name": "n", "none": None, "n": [1.5, -2]},
    ]
    return json.dumps(shapes[shape % len(shapes)], separators=(",", ": "))


class Parsed(Spelled):
    """Parses each event."""

    def add(self, text: str) -> None:
        self._parse(self.count, text)
        self.count += 1


PIECES = st.sampled_from(
    [*("sk-", "proj-", "planted", "0123456789", "ann.", "@mail", ".example", ".com", "", "a"), '"']
    + ["\\", "\n", "é", "-----BEGIN PRIVATE KEY-----", "4111 ", "1111 1111", " 1111", "so "]
)


@settings(max_examples=120)
@given(st.lists(st.tuples(PIECES, PIECES, st.integers(0, 5)), max_size=30), st.integers(0, 3))
def test_events_are_taken_apart_as_if_each_were_parsed(
    told: list[tuple[str, str, int]], broken: int
) -> None:
    quick, slow = Spelled(), Parsed()
    events: list[str] = []
    for number, (first, second, shape) in enumerate(told):
        event = _event((first, second), shape if number % 7 else 0, number)
        events.append(event[: -1 if number % 5 == 4 and broken == 1 else None])
        for each in (quick, slow):
            each.add(events[-1])
    redactor = Redactor(key="k")
    assert quick._together == {place: each for place, each in slow._together.items() if each} | {
        place: [] for place, each in quick._together.items() if not each
    }
    said = events.__getitem__
    assert quick.masked(redactor, said) == slow.masked(redactor, said)


def test_a_member_that_is_told_twice_is_masked_all_the_same() -> None:
    spelled = Spelled()
    pieces = ("so sk-", "proj-planted", "PLANTED0123", " it is")
    events = [f'{{"delta":"","delta":"{piece}"}}' for piece in pieces]
    for event in events:
        spelled.add(event)
    changed, found = spelled.masked(Redactor(), events.__getitem__)

    assert found == {"api_key": 1}
    assert (
        "".join(json.loads(changed[n])["delta"] for n in sorted(changed)) == "so [redacted:api_key]"
    )
