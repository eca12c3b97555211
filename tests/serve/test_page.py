"""The page of the service in a real browser: a file and a microphone in, a timeline that plays and files out."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from listening_chromium import assert_accessible, chromium
from serve_browser import serving
from serve_loud import LoudEngine
from sounds import RATE, syllables

from emobridge.diarization.pictures import SoundPainter
from emobridge.serve.records import Busy, Limits, Lost

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")
expect = sync_api.expect
TOKEN = "a token of the service"
WIDTHS = (320, 390, 1280)  # px
SHAPE = "canvas => [canvas.width, canvas.height]"
PAINTED = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, k) => k % 4 === 3 && value).length / data.length * 4;
}"""
FORMATS = {"CSV": "csv", "JSON": "json", "TextGrid": "TextGrid", "RTTM": "rttm", "Subtitles": "srt"}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A call of two channels, whose second speaks softly, what the microphone takes up, and a file that is no sound."""
    folder = tmp_path_factory.mktemp("sounds")
    soft = np.concatenate([np.zeros(RATE), syllables(2, pitch=200, level=0.01)])
    call = np.stack([syllables(3, level=0.2), soft], 1)
    soundfile.write(folder / "call.wav", call, RATE)
    soundfile.write(folder / "spoken.wav", syllables(2, level=0.2), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF no sound at all")
    return folder


@pytest.fixture(scope="module")
def browser(sounds):
    fake = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
    with chromium(*fake, f"use-file-for-fake-audio-capture={sounds / 'spoken.wav'}") as browser:
        yield browser


@pytest.fixture(scope="module")
def engine() -> LoudEngine:
    return LoudEngine()


@pytest.fixture(scope="module")
def address(engine) -> Iterator[str]:
    with serving(engine, Limits(body=1_000_000)) as address:
        yield address


@pytest.fixture
def opened(browser, engine):
    """A function that opens the page; what the browser complains of, but statuses of HTTP, fails the test."""
    complaints, contexts = [], []

    def note(message):
        if message.type == "error" and "status of 4" not in message.text and "status of 5" not in message.text:
            complaints.append(message.text)

    def open_page(address, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    engine.refusals.clear()
    engine.wait = 0.0
    assert complaints == []


def upload(page, path) -> None:
    expect(page.locator("#file")).to_be_enabled()
    page.set_input_files("#file", path)


def wait_for_timeline(page, name="call.wav", timeout=5000) -> None:
    expect(page.locator("section.call h2")).to_have_text(name, timeout=timeout)


def downloaded(page, button: str) -> tuple[str, bytes]:
    """The name and the content of what a button downloads."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def position(page) -> float:
    return page.evaluate("document.querySelector('section.call audio').currentTime")


def assert_looks_right(page) -> None:
    """It scrolls sideways at no width, and axe-core finds nothing serious."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)


def likeness(canvas, wave) -> float:
    """The correlation of a spectrogram that the browser drew with that of `diarize --page`, -1 to 1."""
    pixels = canvas.evaluate("""canvas => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return [...data].map((value, k) => k % 4 < 3 ? value : 0);
    }""")
    columns, bands = canvas.evaluate(SHAPE)
    bright = np.reshape(pixels, (bands, columns, 4)).sum(2)[::-1].T
    painter = SoundPainter(len(wave))
    painter.add(wave)
    levels = painter.picture().levels
    assert levels.shape == (columns, bands)
    return float(np.corrcoef(bright.ravel(), np.maximum(levels, levels.max() - 60).ravel())[0, 1])


def test_a_call_is_answered_played_and_downloaded(opened, address, engine, sounds):
    page = opened(address)
    expect(page.locator("#about-model")).to_contain_text("SYNTHETIC")
    expect(page.locator("#about-model")).to_contain_text("anger, sadness. It learnt from speech in German, Italian.")
    page.select_option("#language", "de")
    page.select_option("#channels", "each")
    upload(page, sounds / "call.wav")
    wait_for_timeline(page)
    job = engine.jobs[-1]
    assert (job.model, job.language, job.settings.channels, job.name) == ("loud", "de", "each", "call.wav")
    assert page.locator(".channel").count() == 2
    assert page.evaluate("document.activeElement.id") == "of-result"
    assert "SYNTHETIC run." in page.text_content(".lead") and page.text_content("#notes") == "a note"

    stretches = page.locator(".band").all()
    assert [band.locator(".stretch").first.text_content() for band in stretches] == ["anger", "sadness"]
    colours = [band.locator(".stretch").first.evaluate("box => getComputedStyle(box, '::before').backgroundColor")
               for band in stretches]  # fmt: skip
    patterns = [band.locator(".stretch").first.evaluate("box => getComputedStyle(box, '::before').backgroundImage")
                for band in stretches]  # fmt: skip
    assert len(set(colours)) == len(set(patterns)) == 2
    expect(page.locator("canvas").last).to_have_attribute("width", "60")  # 20 columns a second
    for number, canvas in enumerate(page.locator("canvas.spectrogram").all()):
        assert likeness(canvas, soundfile.read(sounds / "call.wav", dtype="float32")[0][:, number]) > 0.97
    for canvas in page.locator("canvas.wave").all():
        assert canvas.evaluate(SHAPE) == [60, 64] and 0.02 < canvas.evaluate(PAINTED) < 0.9

    head = page.locator(".playhead")
    page.locator(".moments button").first.click()
    expect(head).to_have_attribute("aria-valuenow", re.compile(r"[1-9]"))
    head.focus()
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('section.call audio').paused")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert position(page) == pytest.approx(1.0)
    page.locator("canvas.wave").first.click()  # its middle
    expect(head).to_have_attribute("aria-valuenow", re.compile(r"1\.[6-9]|2\."))
    assert 1.5 <= position(page) <= 3

    files = {form: downloaded(page, button) for button, form in FORMATS.items()}
    assert {name for name, _ in files.values()} == {f"call.{form}" for form in FORMATS.values()}
    rows = list(csv.DictReader(io.StringIO(files["csv"][1].decode())))
    assert {(row["channel"], row["label"]) for row in rows if row["label"]} == {("0", "anger"), ("1", "sadness")}
    assert len(json.loads(files["json"][1])) == len(rows) and {row["trained_on"] for row in rows} == {"SYNTHETIC"}
    assert all("anger" in content.decode() for _, content in files.values())
    page.locator("input.shares").check()
    assert page.locator(".lane").count() == 4
    assert_looks_right(page)


def test_a_voice_is_answered_while_it_speaks_and_as_a_whole(opened, address, engine):
    page = opened(address, viewport={"width": 390, "height": 800}, color_scheme="dark")
    expect(page.locator("#speak")).to_be_enabled()
    page.locator("#speak").press("Enter")
    expect(page.locator("#live li").nth(1)).to_be_visible(timeout=20_000)
    assert "anger" in page.text_content("#live") and page.text_content("#status") == "Recording"
    assert engine.jobs[-1].encoding == "s16le" and engine.jobs[-1].rate == 16_000
    assert page.is_disabled("#file") and page.evaluate("document.activeElement.id") == "stop"
    assert_looks_right(page)
    page.keyboard.press("Enter")  # stop
    wait_for_timeline(page, "microphone.wav")
    name, content = downloaded(page, "Recording (WAV)")
    sound, rate = soundfile.read(io.BytesIO(content))
    assert name == "microphone.wav" and rate == 16_000 and len(sound) >= 2 * rate
    assert 0.05 < np.sqrt(np.mean(sound[rate : 2 * rate] ** 2)) < 0.5
    live = len(json.loads(downloaded(page, "JSON")[1]))
    assert live == len(sound) // rate + bool(len(sound) % rate)
    page.click("#whole")
    expect(page.locator("#again")).to_be_hidden()
    wait_for_timeline(page, "microphone.wav")
    assert engine.jobs[-1].name == "microphone.wav" and page.is_visible("#save-sound")


def test_a_busy_service_is_tried_again_and_an_answer_can_be_cancelled(opened, address, engine, sounds):
    page = opened(address, reduced_motion="reduce")
    engine.refusals.append(Busy(2.0))
    upload(page, sounds / "call.wav")
    expect(page.locator("#status")).to_have_text("The service is busy: next try in 2 s")
    wait_for_timeline(page)
    engine.wait = 60.0
    upload(page, sounds / "spoken.wav")
    expect(page.locator("#status")).to_have_text("Sent. Waiting for the answer")
    page.locator("#cancel").press("Enter")
    expect(page.locator("#status")).to_have_text("Cancelled")
    assert page.evaluate("document.activeElement.id") == "file"
    wait_for_timeline(page)  # that was there before


def test_what_goes_wrong_is_said_in_one_line(opened, address, engine, sounds, tmp_path):
    page = opened(address)
    status = page.locator("#status")
    upload(page, sounds / "broken.wav")
    expect(status).to_have_text(re.compile(r"Not answered: broken\.wav"))
    assert status.get_attribute("class") == "alarm" and status.get_attribute("aria-live") == "polite"
    engine.refusals.append(Lost("the worker ended"))
    upload(page, sounds / "spoken.wav")
    expect(status).to_have_text("Not answered: the worker ended")
    (tmp_path / "large.wav").write_bytes(bytes(1_100_000))
    upload(page, tmp_path / "large.wav")
    expect(status).to_have_text("large.wav has 1.1 MB; expected at most 1")
    engine.refusals.append(Busy(1.0))
    page.click("#speak")
    expect(status).to_have_text(re.compile("^No live answers: the service is busy"))
    page.wait_for_timeout(700)
    page.click("#stop")
    wait_for_timeline(page, "microphone.wav")  # the whole recording is answered, since nothing was before


def test_files_are_dropped_on_the_page_one_at_a_time(opened, address):
    page = opened(address)
    expect(page.locator("#file")).to_be_enabled()
    drop = """count => {
      const transfer = new DataTransfer();
      for (let k = 0; k < count; k++) transfer.items.add(new File(["no sound"], `dropped${k}.wav`));
      document.querySelector("#drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
    }"""
    page.evaluate(drop, 2)
    assert page.text_content("#status") == "Drop one recording at a time"
    page.evaluate(drop, 1)
    expect(page.locator("#status")).to_have_text(re.compile(r"Not answered: dropped0\.wav"))


def test_a_token_is_asked_for_and_stays_out_of_addresses(opened, engine, sounds):
    with serving(engine, Limits(), TOKEN) as address:
        page = opened(address)
        addresses = []
        page.on("request", lambda request: addresses.append(request.url))
        expect(page.locator("#token")).to_be_focused()
        assert "asks for a token" in page.text_content("#status") and page.is_disabled("#file")
        assert_looks_right(page)
        page.fill("#token", "a wrong one")
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_contain_text("wrong")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        upload(page, sounds / "spoken.wav")
        wait_for_timeline(page, "spoken.wav")
        assert downloaded(page, "CSV")[0] == "spoken.csv"
        page.click("#speak")
        expect(page.locator("#live li").first).to_be_visible(timeout=20_000)
        page.click("#stop")
        page.reload()
        expect(page.locator("#file")).to_be_enabled()
        assert not [url for url in addresses if "token" in url.lower()]


@pytest.mark.slow
def test_the_command_answers_with_a_model_in_processes_of_its_own(opened, finished, sounds):
    command = [sys.executable, "-m", "emobridge", "serve", str(finished / "bundle"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            page = opened(server.stdout.readline().split()[-1])
            upload(page, sounds / "call.wav")
            wait_for_timeline(page, timeout=60_000)
            rows = json.loads(downloaded(page, "JSON")[1])
            assert {row["label"] for row in rows} <= {"anger", "sadness", None} and rows[-1]["end"] == pytest.approx(
                3.0
            )
            page.click("#speak")
            expect(page.locator("#live li").nth(1)).to_be_visible(timeout=60_000)
            page.click("#stop")
            wait_for_timeline(page, "microphone.wav", timeout=60_000)
            page.click("#whole")
            expect(page.locator("#again")).to_be_hidden(timeout=60_000)
            assert page.text_content("#status") == "Answered. The timeline is below"
        finally:
            server.terminate()
    assert server.returncode in (0, 130, 143)
