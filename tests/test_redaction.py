"""What is masked: keys, mail addresses, cards, phone numbers, named secrets, rules of the user's own,
however they are written and wherever a stream was cut."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from needs import ROOT

from tollspan.config import ConfigError
from tollspan.redaction import MARK, Redactor
from tollspan.redaction_bounds import bounded
from tollspan.redaction_edits import Edit, applied
from tollspan.redaction_rules import BUILT_IN, read

PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq\nplanted+planted/pla==\n"
    "-----END RSA PRIVATE KEY-----"
)
PLANTED = {
    "openai": ("api_key", "sk-proj-plantedPLANTED0123456789"),
    "anthropic": ("api_key", "sk-ant-api03-plantedPLANTED_0123"),
    "groq": ("api_key", "gsk_plantedPLANTED0123456789abcd"),
    "hugging face": ("api_key", "hf_plantedPLANTEDplanted0123456"),
    "xai": ("api_key", "xai-plantedPLANTED0123456789abcd"),
    "slack": ("api_key", "xoxb-123456789012-plantedplanted"),
    "google": ("google_key", "AIzaSyPlantedPlantedPlantedPlanted0123"),
    "google oauth": ("google_key", "ya29.a0AfPlantedPlanted_Planted"),
    "aws": ("aws_key", "AKIAPLANTED0123456AB"),
    "aws temporary": ("aws_key", "ASIAPLANTED0123456AB"),
    "bedrock": ("aws_key", "ABSKQmVkcm9ja1BsYW50ZWQ="),
    "github": ("github_token", "ghp_plantedPLANTED0123456789abcdefgh"),
    "github fine": ("github_token", "github_pat_11PLANTED0_abcdefghijklmnop"),
    "jwt": ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJl"),
    "pem": ("private_key", PEM),
    "mail": ("email", "ann.planted+tag@mail.example.co.uk"),
    "card": ("card", "4111 1111 1111 1111"),
    "amex": ("card", "378282246310005"),
    "phone": ("phone", "+49 (30) 901820-12"),
    "phone us": ("phone", "(415) 555-2671"),
}
WAYS = {
    "plain": lambda value: f"so {value}, then",
    "json": lambda value: json.dumps({"content": f"so {value}, then"}),
    "json in json": lambda value: json.dumps({"arguments": json.dumps({"content": value})}),
    "all letters escaped": lambda value: "".join(f"\\u{ord(each):04x}" for each in value),
    "in an address": lambda value: f"https://h/p?q={quote(value, safe='')}&m=1",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_masked_however_it_is_written(name: str, way: str) -> None:
    rule, value = PLANTED[name]
    masked, found = Redactor().text(WAYS[way](value))

    assert found[rule] == 1, masked
    assert f"[redacted:{rule}]" in masked
    for reading in (masked, masked.encode().decode("unicode_escape")):
        assert value not in reading
        assert value[4:12] not in reading


@pytest.mark.parametrize("before", ["", "a ", "ab ", "abc ", "abcd "])
@pytest.mark.parametrize("name", ["openai", "google", "pem", "mail", "jwt"])
def test_what_is_planted_in_base64_is_masked(name: str, before: str) -> None:
    value = PLANTED[name][1]
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        hidden = code(f"{before}{value} and more".encode()).decode()
        masked, found = Redactor().text(f"data:text/plain;base64,{hidden}")

        assert found == {PLANTED[name][0]: 1}
        assert hidden[8:24] not in masked


@given(st.data())
def test_what_is_split_over_pieces_is_masked_as_a_whole(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(PLANTED)))
    value = PLANTED[name][1]
    text = f"before {value} behind, and {value} again"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    masked, found = Redactor().parts(parts)

    assert len(masked) == len(parts)
    assert "".join(masked) == Redactor().text(text)[0]
    assert found[PLANTED[name][0]] == 2
    assert value not in "".join(masked)


@given(st.text(alphabet='ab\\"%{}:/@.-_ =sk1\n', max_size=60), st.lists(st.integers(0, 60)))
def test_pieces_put_together_are_always_the_masked_whole(text: str, cuts: list[int]) -> None:
    at = sorted(min(cut, len(text)) for cut in cuts)
    parts = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]

    assert "".join(Redactor().parts(parts)[0]) == Redactor().text(text)[0]


def test_edits_stand_where_they_begin() -> None:
    parts = ["abc", "", "def", "ghi"]

    assert applied(parts, [Edit(1, 8, "X"), Edit(8, 9, "Y")]) == ["aX", "", "", "Y"]
    assert applied(parts, [Edit(3, 6, "X")]) == ["abc", "", "X", "ghi"]
    assert applied(parts, []) == parts


HARMLESS = [
    '{"usage":{"prompt_tokens":540,"completion_tokens":180,"total_tokens":720},"max_tokens":1024}',
    '{"id":"chatcmpl-9a8b7c6d5e4f","created":1795277952,"system_fingerprint":"fp_44709d6fcb"}',
    '{"embedding":[0.0123456789012345,-0.4111111111111111,4.2e-05]}',
    '{"logprobs":{"content":[{"token":"Hello","bytes":[72,101]}]}}',
    "risk-assessment-policy, a desk-lamp, ask-me-anything and basic understanding of keys",
    '{"error":{"message":"You exceeded your quota","param":null,"code":"insufficient_quota"}}',
    '{"type":"function","function":{"name":"get_token_count","arguments":"{\\"key\\": \\"color\\"}"}}',
    "2026-11-21T16:19:12.440596Z 192.168.100.200 00-13cbc7253600610b8eb991e248529950-5d7ad2b009c3c84a-03",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_neither_secret_nor_personal_stays(text: str) -> None:
    assert Redactor().text(text) == (text, {})


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "correct horse battery"}',
        '{"db_password":"a \\"quoted\\" one"}',
        "{'client_secret': 'it is short'}",
        "api_key=abc123&x=1",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        '"token": "0123456789abcdefghij"',
        json.dumps({"arguments": json.dumps({"passphrase": "open sesame"})}),
    ],
)
def test_a_value_is_masked_by_the_name_before_it(text: str) -> None:
    masked, found = Redactor().text(text)

    assert found == {"named_secret": 1}
    for word in ("correct", "battery", "quoted", "short", "abc123", "wJalr", "0123", "sesame"):
        assert word not in masked


def test_headers_are_masked_by_name_and_by_what_they_say() -> None:
    headers, found = Redactor().headers(
        [
            ("Authorization", "Bearer planted"),
            ("X-Goog-Api-Key", "planted"),
            ("api-key", "planted"),
            ("Cookie", "a=planted"),
            ("Set-Cookie", "a=planted"),
            ("X-Amz-Security-Token", "planted"),
            ("Ocp-Apim-Subscription-Key", "planted"),
            ("x-note", "call sk-plantedplanted"),
            ("Idempotency-Key", "stays-as-it-is"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("content-type", "application/json"),
        ]
    )

    assert not [value for _, value in headers if "planted" in value]
    assert dict(map(tuple, headers[-3:])) == {  # type: ignore[arg-type]
        "idempotency-key": "stays-as-it-is",
        "x-ratelimit-remaining-tokens": "149984",
        "content-type": "application/json",
    }
    assert found == {"header": 7, "api_key": 1}


def test_addresses_lose_their_secrets_and_stay_addresses() -> None:
    url, found = Redactor().url(
        "https://planted:planted@h:8/v1/models/m?key=planted&alt=sse&X-Amz-Signature=planted"
        "&mail=ann%2Bplanted%40example.com&api-version=2026-01-01"
    )

    assert "planted" not in url
    assert url.startswith("https://[redacted:userinfo]@h:8/v1/models/m?key=[redacted:parameter]")
    assert "&alt=sse&" in url
    assert url.endswith("&api-version=2026-01-01")
    assert found == {"parameter": 2, "userinfo": 1, "email": 1}


def test_fingerprints_are_the_same_for_the_same_value_and_key() -> None:
    one, other = Redactor(key="a"), Redactor(key="b")
    (first,), (second,) = MARK.findall(one.text(PEM)[0]), MARK.findall(one.text(json.dumps(PEM))[0])

    assert first == second
    assert first[1]
    assert one.text("ann@example.com")[0] != one.text("bob@example.com")[0]
    assert one.text("ann@example.com")[0] != other.text("ann@example.com")[0]
    assert one.key_id != other.key_id
    assert MARK.findall(Redactor().text("ann@example.com")[0]) == [("email", "")]


# --- rules of the user's own ----------------------------------------------------------------------


def test_a_file_adds_rules_and_takes_some_away(tmp_path: Path) -> None:
    path = tmp_path / "redact.toml"
    path.write_text(
        """
        off = ["phone"]
        headers = ["X-Internal-User"]
        parameters = ["session"]
        fields = ["national_id"]
        words = ["Project Nightingale"]
        [[rule]]
        name = "order"
        pattern = 'ORD-\\d{6,12}'
        """
    )
    redactor = Redactor(read(path))
    masked, found = redactor.text(
        '{"national_id":"12-34","note":"Project Nightingale, ORD-123456, +49 30 901820 12, a@b.com"}'
    )

    assert masked == (
        '{"national_id":"[redacted:field]","note":"[redacted:word], [redacted:order], '
        '+49 30 901820 12, [redacted:email]"}'
    )
    assert found == {"field": 1, "word": 1, "order": 1, "email": 1}
    assert redactor.headers([("x-internal-user", "u")])[0] == [
        ["x-internal-user", "[redacted:header]"]
    ]
    assert (
        redactor.url("http://h/?session=s&a=b")[0] == "http://h/?session=[redacted:parameter]&a=b"
    )
    assert redactor.rules_id != Redactor().rules_id


@pytest.mark.parametrize(
    "pattern",
    [
        *("(a+)+b", "(a|aa){1,40}b", "(a{1,9}){1,9}b", "a*b", ".+@", r"(\w{1,9}\s?){2,9}$"),
        *("a{0,100}a{0,100}b", r"(a)\1", "(?(1)a|b)", "(", "", "a?", "a{0,4}"),
    ],
)
def test_a_pattern_that_could_run_away_is_refused_with_a_sentence(pattern: str) -> None:
    with pytest.raises(ConfigError, match="rules.toml") as refused:
        bounded(pattern, "rules.toml: rule[0].pattern")
    assert ": " in str(refused.value)


@pytest.mark.parametrize(
    "pattern", [r"ORD-\d{6,12}", "(?:EMP|CTR)[0-9]{5}", r"(?i)customer #\d{1,9}", r"\bX\w{3}\b"]
)
def test_a_pattern_that_cannot_is_taken(pattern: str) -> None:
    assert bounded(pattern, "here").pattern == pattern


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rule = 1", "rule: write"),
        ("[[rule]]\nname = 'A B'\npattern = 'x'", "rule[0].name"),
        ("[[rule]]\nname = 'a'", "rule[0].pattern"),
        ("[[rule]]\nname = 'a'\npattern = 'x'\nmore = 1", "rule[0]: write"),
        ("off = ['nothing']", "nothing is no built-in rule"),
        ("words = [1]", "words: write"),
        ("colour = 'red'", "colour is unknown"),
        ("= 1", "is no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what_to_write(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "redact.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read(path)

    assert says in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.toml")


@pytest.mark.parametrize("name", PLANTED)
def test_hints_hide_no_match(name: str) -> None:
    rule, value = PLANTED[name]
    found = [each for each in BUILT_IN if each.name == rule and each.pattern.search(value)]

    assert found
    assert all(not one.hints or any(hint in value for hint in one.hints) for one in found)


@pytest.mark.parametrize(
    "name", sorted(PLANTED.keys() - {"mail", "card", "amex", "phone", "phone us"})
)
def test_the_collectors_configuration_masks_the_same_keys(name: str) -> None:
    config = yaml.safe_load((ROOT / "collector-config/agent/agent.yaml").read_text())
    patterns = config["processors"]["redaction/keys"]["blocked_values"]
    whole = [
        found[0]
        for pattern in patterns
        if (found := re.search(pattern.replace(r"\z", r"\Z"), f"so {PLANTED[name][1]}, then"))
    ]

    assert PLANTED[name][1] in whole
