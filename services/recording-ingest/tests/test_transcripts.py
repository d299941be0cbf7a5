"""Teams' transcripts as they really are."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_ingest.transcripts import AT_ONCE, Line, Reading, TakesTooLong, parse


def test_unpadded_times_speakers_and_several_lines_are_read() -> None:
    text = (
        "\ufeffWEBVTT\r\n\r\n0:0:1.5 --> 0:0:4.25\r\n<v Megan Bowen>Hello everyone.</v>\r\n\r\n"
        "12:07 --> 12:09.5 align:start\r\nfirst line\r\nsecond line\r\n"
    )
    assert parse(text) == [
        Line("Megan Bowen", 1500, 4250, "Hello everyone."),
        Line(None, 727_000, 729_500, "first line second line"),
    ]


def test_negative_offsets_are_before_the_recording() -> None:
    (line,) = parse("WEBVTT\n\n-0:0:1.500 --> 0:0:-0.25\nearly")
    assert (line.start_ms, line.end_ms) == (-1500, -250)


def test_notes_styles_and_cue_names_are_not_said() -> None:
    text = (
        "WEBVTT Kind: captions\nLanguage: en\n\nSTYLE\n::cue { color: red }\n\nNOTE made by\nTeams\n\n"
        "4f/12-0\n0:0:1 --> 0:0:2\n<v Bo>Yes</v>\n"
    )
    assert [(line.speaker, line.text) for line in parse(text)] == [("Bo", "Yes")]


def test_a_header_without_an_empty_line_after_it_is_not_said() -> None:
    assert [line.text for line in parse("WEBVTT\nKind: captions\nX: y\n0:1 --> 0:2\nhi")] == ["hi"]


def test_entities_markup_and_lone_angle_brackets_are_read_as_meant() -> None:
    (line,) = parse("WEBVTT\n\n0:1 --> 0:2\n<v Bj&ouml;rk &amp; Co><i>5 &lt; 6</i> & 7 < 8 <00:00:01.000>ok</v>")
    assert (line.speaker, line.text) == ("Björk & Co", "5 < 6 & 7 < 8 ok")


def test_several_voices_of_one_cue_are_several_lines() -> None:
    said = parse("WEBVTT\n\n0:1 --> 0:2\n<v A>one</v><v.loud B>two</v> three")
    assert [(line.speaker, line.text) for line in said] == [("A", "one"), ("B", "two"), (None, "three")]


def test_cues_without_an_empty_line_between_them_stay_apart() -> None:
    said = parse("WEBVTT\n\n0:1 --> 0:2\none\n0:3 --> 0:4\ntwo")
    assert [(line.start_ms, line.text) for line in said] == [(1000, "one"), (3000, "two")]


def test_words_after_an_empty_line_belong_to_the_cue_before() -> None:
    said = parse("WEBVTT\n\n0:1 --> 0:2\n<v A>one\n\ntwo</v>")
    assert [(line.start_ms, line.text) for line in said] == [(1000, "one"), (1000, "two")]


def test_plain_text_without_times_is_all_said() -> None:
    assert [line.text for line in parse("Hello everyone.\n\nYes.")] == ["Hello everyone.", "Yes."]


def test_nothing_said_gives_no_lines() -> None:
    assert parse("") == parse("WEBVTT\n\n") == parse("WEBVTT\n\n0:1 --> 0:2\n\n") == []


@given(st.text())
@settings(max_examples=200)
def test_any_text_is_read_and_can_be_stored(text: str) -> None:
    assert all(line.text and "\x00" not in line.text + (line.speaker or "") for line in parse(text))


PARTS = [
    "WEBVTT",
    "NOTE",
    "\n",
    "\n\n",
    " --> ",
    "0:0:1.5",
    "-1:2",
    "<v A>",
    "</v>",
    "<v",
    "&#0;",
    "&lt;",
    "x",
    "\x00",
    ":",
]


@given(st.lists(st.sampled_from(PARTS)).map("".join))
@settings(max_examples=200)
def test_any_mixture_of_its_parts_is_read(text: str) -> None:
    assert all("\x00" not in line.text + (line.speaker or "") for line in parse(text))


WORDS = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8), min_size=1, max_size=6)
CUES = st.lists(
    st.tuples(WORDS, st.sampled_from(["", "Anna", "Bo & Co"]), st.sampled_from(["\n", " "]), st.booleans()), max_size=8
)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@given(cues=CUES)
def test_no_spoken_word_is_lost(end: str, cues: list[tuple[list[str], str, str, bool]]) -> None:
    blocks = ["WEBVTT"]
    for number, (words, speaker, between, named) in enumerate(cues):
        said = between.join(words)
        said = f"<v {speaker.replace('&', '&amp;')}>{said}</v>" if speaker else said
        blocks.append((f"id-{number}\n" if named else "") + f"0:{number}:1.5 --> 0:{number}:2\n{said}")
    heard = parse("\n\n".join(blocks).replace("\n", end))
    assert [word for line in heard for word in line.text.split()] == [word for words, *_ in cues for word in words]
    assert [line.speaker for line in heard] == [speaker or None for _, speaker, *_ in cues]


def test_a_cue_of_json_names_its_speaker_and_words() -> None:
    cue = '{"speakerName":"Megan Bowen","spokenText":"5 &lt; 6,\\nagreed","spokenLanguage":"en-us"}'
    nobody = '{"speakerName":null,"spokenText":"and so on"}'
    text = f"WEBVTT\n\n00:00:01.500 --> 00:00:02.000\n{cue}\n\n00:00:03.000 --> 00:00:04.000\n{nobody}\n"
    assert parse(text) == [
        Line("Megan Bowen", 1500, 2000, "5 &lt; 6, agreed"),
        Line(None, 3000, 4000, "and so on"),
    ]


@pytest.mark.parametrize("words", ["{", '{"spokenText":1}', '["spokenText"]', "{curly} words", "{" * 5000])
def test_braces_that_are_no_cue_of_json_are_something_said(words: str) -> None:
    (line,) = parse(f"WEBVTT\n\n0:0:1 --> 0:0:2\n{words}\n")
    assert line.text == words


def test_a_cue_of_no_character_is_stored_all_the_same() -> None:
    (line,) = parse('WEBVTT\n\n0:0:1 --> 0:0:2\n{"speakerName":"A\\ud800","spokenText":"b\\udfffc"}')
    assert (line.speaker, line.text) == ("A", "b c")


def test_a_number_too_long_for_an_entity_is_something_said() -> None:
    (line,) = parse(f"0:1 --> 0:2\n&#{'1' * 5000};")
    assert line.text == f"&#{'1' * 5000};"


async def test_a_worker_goes_on_while_it_reads_a_long_transcript() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    text = "\n\n".join(f"0:1 --> 0:2\n<v {'BA'[number % 2]}>words</v>" for number in range(20_000))
    said = Reading(text, within_s=60, most_lines=20_000)
    batches = [len(batch) async for batch in said.batches()]
    ticking.cancel()
    assert (sum(batches), said.count, said.speakers) == (20_000, 20_000, ["B", "A"])
    assert max(batches) == AT_ONCE
    assert ticks > 10


@pytest.mark.parametrize("piece", ["<v A>x", "NOTE x\n\n", "0:1 --> 0:2\n<v A></v>\n", "<v A>"])
def test_a_transcript_that_takes_too_long_is_left(piece: str) -> None:
    with pytest.raises(TakesTooLong):
        parse(piece * 3, within_s=-1)


def test_more_lines_than_people_speak_are_left() -> None:
    with pytest.raises(TakesTooLong):
        parse("0:1 --> 0:2\n<v A>words</v>\n\n" * 400_000, most_lines=100_000)


@pytest.mark.parametrize("between", [" " * 2**20, "\t" * 2**20, "\n" * 2**20, " \n" * 2**19, "<v " * 2**18])
def test_a_voice_without_an_end_and_a_megabyte_of_blanks_is_read(between: str) -> None:
    """Each piece once: what grows with the square of a megabyte would not end here."""
    said = parse(f"WEBVTT\n\n0:0:1 --> 0:0:2\n<v{between}")
    assert len(said) == 1
    assert said[0].text.startswith("<v")
