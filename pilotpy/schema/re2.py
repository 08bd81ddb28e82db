"""From a regular expression to what RE2 has against it.

Envoy refuses a whole route table for one expression that RE2 does not take, so each is read before it is sent. Kept to
RE2's Perl-like syntax and its reading of bytes, not characters, which is what Envoy turns on.
Source: RE2's syntax page and parse.cc.
"""

from __future__ import annotations

import re

RE2 = "write it in the syntax of RE2, github.com/google/re2/wiki/Syntax"  # a hint for authors

_MOST_REPETITIONS = 1000
_LARGEST = 32768  # instructions of the compiled program, as bootstraps of Istio's kind allow; Envoy alone allows 100
_RANGES = 8  # of bytes, at the most, in a class that has a name
_DEEPEST = 100  # groups in groups; RE2 takes 1000, this reader is recursive
_CLASSES = re.compile("\\^?(alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit)")
_CATEGORIES = re.compile("Any|C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")
_SCRIPTS = re.compile(
    """Adlam|Ahom|Anatolian_Hieroglyphs|Arabic|Armenian|Avestan|Balinese|Bamum|Bassa_Vah|Batak|Bengali|Bhaiksuki
    |Bopomofo|Brahmi|Braille|Buginese|Buhid|Canadian_Aboriginal|Carian|Caucasian_Albanian|Chakma|Cham|Cherokee
    |Chorasmian|Common|Coptic|Cuneiform|Cypriot|Cypro_Minoan|Cyrillic|Deseret|Devanagari|Dives_Akuru|Dogra|Duployan
    |Egyptian_Hieroglyphs|Elbasan|Elymaic|Ethiopic|Georgian|Glagolitic|Gothic|Grantha|Greek|Gujarati|Gunjala_Gondi
    |Gurmukhi|Han|Hangul|Hanifi_Rohingya|Hanunoo|Hatran|Hebrew|Hiragana|Imperial_Aramaic|Inherited
    |Inscriptional_Pahlavi|Inscriptional_Parthian|Javanese|Kaithi|Kannada|Katakana|Kayah_Li|Kharoshthi
    |Khitan_Small_Script|Khmer|Khojki|Khudawadi|Lao|Latin|Lepcha|Limbu|Linear_A|Linear_B|Lisu|Lycian|Lydian|Mahajani
    |Makasar|Malayalam|Mandaic|Manichaean|Marchen|Masaram_Gondi|Medefaidrin|Meetei_Mayek|Mende_Kikakui
    |Meroitic_Cursive|Meroitic_Hieroglyphs|Miao|Modi|Mongolian|Mro|Multani|Myanmar|Nabataean|Nandinagari|New_Tai_Lue
    |Newa|Nko|Nushu|Nyiakeng_Puachue_Hmong|Ogham|Ol_Chiki|Old_Hungarian|Old_Italic|Old_North_Arabian|Old_Permic
    |Old_Persian|Old_Sogdian|Old_South_Arabian|Old_Turkic|Old_Uyghur|Oriya|Osage|Osmanya|Pahawh_Hmong|Palmyrene
    |Pau_Cin_Hau|Phags_Pa|Phoenician|Psalter_Pahlavi|Rejang|Runic|Samaritan|Saurashtra|Sharada|Shavian|Siddham
    |SignWriting|Sinhala|Sogdian|Sora_Sompeng|Soyombo|Sundanese|Syloti_Nagri|Syriac|Tagalog|Tagbanwa|Tai_Le|Tai_Tham
    |Tai_Viet|Takri|Tamil|Tangsa|Tangut|Telugu|Thaana|Thai|Tibetan|Tifinagh|Tirhuta|Toto|Ugaritic|Vai|Vithkuqi|Wancho
    |Warang_Citi|Yezidi|Yi|Zanabazar_Square""",
    re.VERBOSE,
)

_REPEAT = re.compile(r"\{(\d+)(,(\d*))?\}")
_GROUP = re.compile(r"\(\?(?:P?<[A-Za-z0-9_]+>|(?:[imsU]+(?:-[imsU]+)?|-[imsU]+)?(?P<end>[:)]))")
_ESCAPE = re.compile(
    r"\\(?:[0-3][0-7]{2}|[0-7]{2}(?![0-7])|0(?![0-7])|x[0-9A-Fa-f]{2}|x\{0*[0-9A-Fa-f]{1,2}\}|[afnrtvdDsSwW]|[^0-9A-Za-z\n]|\n)"
)
_UNICODE = re.compile(r"\\[pP](?:([A-Za-z])|\{\^?([A-Za-z_]+)\})")
_ASSERTIONS = "AzbBC"


class _Refused(Exception):
    """What RE2 would say."""


def refusal(regex: str) -> str | None:
    """Why RE2 refuses an expression, in its own words; None if it takes it."""
    try:
        _Reader(regex).read()
    except _Refused as words:
        return str(words)
    return None


def capture_groups(regex: str) -> int:
    """How many groups of an expression that RE2 takes can be referred to."""
    reader = _Reader(regex)
    reader.read()
    return reader.captures


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text.encode(errors="surrogatepass").decode("latin-1")  # Envoy lets RE2 read bytes
        self.at = 0
        self.captures = 0
        self.size = 0  # an upper bound of the program's

    def read(self) -> None:
        self._alternatives(0)
        if self.at < len(self.text):
            raise _Refused("unexpected ): " + self.text)
        if self.size > _LARGEST:
            raise _Refused("pattern too large")

    def _alternatives(self, depth: int) -> int:
        """Read up to the end of a group; return how often its most repeated part is copied."""
        if depth > _DEEPEST:
            raise _Refused("expression nests too deeply")
        copies = 1
        repeatable = False  # nothing to repeat at the start
        while self.at < len(self.text) and (here := self.text[self.at]) != ")":
            if here == "|":
                self.at += 1
                self.size += 1
                repeatable = False
                continue
            if here in "*+?":
                raise _Refused(f"no argument for repetition operator: {here}")
            if here == "{" and not repeatable and (count := _REPEAT.match(self.text, self.at)):
                raise _Refused(f"no argument for repetition operator: {count[0]}")
            start, before = self.at, self.size
            inner = self._one(depth)
            # Groups and classes count what is in them; an escape may be a class of many ranges.
            self.size += 4 * (self.at - start) if here == "\\" else 3
            repeatable = inner > 0
            if repeatable:
                copies = max(copies, self._repeated(inner, before))
        return copies

    def _one(self, depth: int) -> int:
        """Read one item; return its copies, or 0 if it is no item (flags)."""
        here = self.text[self.at]
        if here == "(":
            return self._group(depth)
        if here == "[":
            self._class()
        elif here == "\\":
            self._escape()
        else:
            self.at += 1
        return 1

    def _group(self, depth: int) -> int:
        start = self.at
        if self.text.startswith("(?", start):
            match = _GROUP.match(self.text, start)
            if match is None:
                raise _Refused("invalid perl operator: " + self.text[start : start + 3])
            self.at = match.end()
            self.captures += match["end"] is None
            if match["end"] == ")":
                return 0
        else:
            self.captures += 1
            self.at += 1
        copies = self._alternatives(depth + 1)
        if self.at >= len(self.text):
            raise _Refused("missing ): " + self.text)
        self.at += 1
        return copies

    def _repeated(self, inner: int, before: int) -> int:
        start = self.at
        stacked = False
        while self.at < len(self.text):
            match = _REPEAT.match(self.text, self.at)
            if match is None and self.text[self.at] not in "*+?":
                break
            if stacked:
                raise _Refused("bad repetition operator: " + self.text[start : match.end() if match else self.at + 1])
            stacked = True
            if match is None:
                self.at += 1
                self.size += 1
            else:
                inner *= max(1, _times(match))
                self.size = before + (self.size - before + 1) * (_times(match) + 1)
                if inner > _MOST_REPETITIONS:
                    raise _Refused("invalid repetition size: " + match[0])
                self.at = match.end()
            if self.text.startswith("?", self.at):
                self.at += 1
        return inner

    def _escape(self) -> None:
        if self.text.startswith("\\Q", self.at):
            end = self.text.find("\\E", self.at)
            self.at = len(self.text) if end < 0 else end + 2
            return
        if self.at + 1 >= len(self.text):
            raise _Refused("trailing \\")
        if self.text[self.at + 1] in _ASSERTIONS:
            self.at += 2
            return
        self._character()

    def _character(self) -> None:
        if match := _UNICODE.match(self.text, self.at):
            name = match[1] or match[2]
            if not _CATEGORIES.fullmatch(name) and not _SCRIPTS.fullmatch(name):
                raise _Refused("invalid character class range: " + match[0])
        elif not (match := _ESCAPE.match(self.text, self.at)):
            raise _Refused("invalid escape sequence: " + self.text[self.at : self.at + 2])
        self.at = match.end()

    def _class(self) -> None:
        start = self.at
        self.at += 2 if self.text.startswith("[^", start) else 1
        first = True
        while self.at >= len(self.text) or first or self.text[self.at] != "]":
            first = False
            self.size += 2
            if self.at >= len(self.text):
                raise _Refused("missing ]: " + self.text[start:])
            if self.text.startswith("[:", self.at) and (end := self.text.find(":]", self.at + 2)) > 0:
                if not _CLASSES.fullmatch(self.text, self.at + 2, end):
                    raise _Refused("invalid character class range: " + self.text[self.at : end + 2])
                self.at = end + 2
                self.size += _RANGES
                continue
            low = self._member(start)
            self.size += 0 if low else _RANGES
            if low and self.text.startswith("-", self.at) and self.text[self.at + 1 : self.at + 2] not in {"", "]"}:
                before = self.at
                self.at += 1
                high = self._member(start)
                if high is None or high < low:
                    raise _Refused("invalid character class range: " + self.text[before - 1 : self.at])
        self.at += 1

    def _member(self, start: int) -> str | None:
        """Read one member of a class; None where it is a class itself."""
        if self.at >= len(self.text):
            raise _Refused("missing ]: " + self.text[start:])
        begin = self.at
        if self.text[begin] != "\\":
            self.at += 1
            return self.text[begin]
        if begin + 1 >= len(self.text):
            raise _Refused("trailing \\")
        self._character()
        written = self.text[begin : self.at]
        return None if written[1] in "dDsSwWpP" else _value(written)


def _times(count: re.Match[str]) -> int:
    low = int(count[1])
    high = int(count[3]) if count[3] else low
    if max(low, high) > _MOST_REPETITIONS or high < low:
        raise _Refused("invalid repetition size: " + count[0])
    return high


def _value(escape: str) -> str:
    body = escape[1:]
    if body[0] == "x":
        return chr(int(body[1:].strip("{}"), 16))
    if body[0].isdigit():
        return chr(int(body, 8))
    return {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}.get(body, body)
