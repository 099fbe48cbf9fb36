"""Open a report in headless Chromium: does it render, filter and keep to itself?

    python -m benchmarks.html_page report.html -o docs/img
    python -m benchmarks.html_page result.json --records 5000

A saved result is rendered first; ``--records`` repeats its records, pictures and all, until
there are so many.

Speaks Chromium's DevTools protocol over pipes, so that nothing but Chromium is needed. Exits 1
if a request leaves the page, an error is logged, the text is wider than the screen, sorting
and filtering do not what they say, the printed page lacks something, or it is larger than
15 MB.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from bye_lint.evidence.collect import MAX_PICTURES
from bye_lint.exhibits import Evidence
from bye_lint.reports import load_result, render
from bye_lint.results import ScanResult

LARGEST = 15e6
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VIEWS = (
    ("desktop", 1200, 1400, "light"),
    ("desktop-dark", 1200, 1500, "dark"),
    ("phone", 390, 1500, "light"),
    ("phone-dark", 390, 1500, "dark"),
)
SCROLL = """(() => {
  const part = document.getElementById("%s");
  scrollTo({top: part ? part.offsetTop - 60 : 0, behavior: "instant"});
})()"""
FILTER = """(() => {
  const field = document.getElementById("filter");
  if (!field) return null;
  const cards = [...document.querySelectorAll(".suspect")];
  const id = cards.at(-1).querySelector("h3 code").textContent;
  field.value = id;
  field.dispatchEvent(new Event("input"));
  const left = cards.filter((card) => !card.hidden).length;
  const said = document.getElementById("shown").textContent;
  field.value = "";
  field.dispatchEvent(new Event("input"));
  const order = document.getElementById("order");
  order.value = "place";
  order.dispatchEvent(new Event("change"));
  const lines = [...document.querySelectorAll(".suspect")].map((c) => +c.dataset.line);
  order.value = "score";
  order.dispatchEvent(new Event("change"));
  const scores = [...document.querySelectorAll(".suspect")].map((c) => +c.dataset.score);
  const files = new Set(cards.map((c) => c.dataset.path)).size;
  return {cards: cards.length, left, said,
    byPlace: files > 1 || lines.every((v, i) => !i || lines[i - 1] <= v),
    byScore: scores.every((v, i) => !i || scores[i - 1] >= v)};
})()"""

# Controls are left out, every suspect is in, black on white whatever the screen's scheme.
PRINTED = """(() => {
  const shown = (e) => getComputedStyle(e).display !== "none";
  return {hidden: ![...document.querySelectorAll("nav, .tools")].some(shown),
    cards: [...document.querySelectorAll(".suspect")].filter((e) => e.offsetHeight > 50).length,
    white: getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)"};
})()"""


class Browser:
    """Chromium behind two pipes."""

    def __init__(self, program: str, profile: str) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def pipes() -> None:
            os.dup2(to_browser, 3)
            os.dup2(from_browser, 4)

        self._process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--remote-debugging-pipe",
                f"--user-data-dir={profile}",
            ],
            pass_fds=(3, 4),
            preexec_fn=pipes,  # noqa: PLW1509 - no threads here
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._number = 0
        self._rest = b""
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come before are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait(self, event: str) -> None:
        """Read until an event has come."""
        while not any(e.get("method") == event for e in self.events):
            self.events.append(self._read())

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(20)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError("the browser went away")
            self._rest += data
        message, self._rest = self._rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(message)
        return found


def check(browser: Browser, page: Path, out: Path | None) -> list[str]:
    """Return what is wrong with the page; screenshots go to ``out``."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)[
        "sessionId"
    ]
    for domain in ("Page", "Network", "Runtime", "Log"):
        browser.call(f"{domain}.enable")
    started = time.perf_counter()
    browser.call("Page.navigate", url=page.resolve().as_uri())
    browser.wait("Page.loadEventFired")
    seconds = time.perf_counter() - started
    wrong = []
    did = browser.evaluate(FILTER)
    if did is not None and not (
        did["left"] == 1
        and did["said"] == f"1 of {did['cards']} shown"
        and did["byPlace"]
        and did["byScore"]
    ):
        wrong.append(f"sorting or filtering: {did}")
    for name, width, height, scheme in VIEWS:
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        browser.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        if browser.evaluate("document.documentElement.scrollWidth") > width:
            wrong.append(f"{name}: wider than the screen")
        if out is None:
            continue
        for part in ("top", "suspects"):
            browser.evaluate(SCROLL % part)
            shot = browser.call("Page.captureScreenshot", format="png")
            picture = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
            picture.quantize(256, Image.Quantize.MAXCOVERAGE).save(
                out / f"report-{name}-{part}.png", optimize=True
            )
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    printed = browser.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
    if out is not None:
        (out / "report.pdf").write_bytes(base64.b64decode(printed["data"]))
    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    shown = browser.evaluate(PRINTED)
    if shown != {"hidden": True, "cards": did["cards"] if did else 0, "white": True}:
        wrong.append(f"printed: {shown}")
    for event in browser.events:
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("data:", page.resolve().as_uri())):
                wrong.append(f"request: {url[:200]}")
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            wrong.append(f"log: {params['entry']['text'][:200]}")
        elif event.get("method") == "Runtime.exceptionThrown":
            wrong.append(f"script: {json.dumps(params)[:200]}")
    size = page.stat().st_size / 1e6
    cards = did["cards"] if did else 0
    if size > LARGEST / 1e6:
        wrong.append(f"{size:.2f} MB, more than {LARGEST / 1e6:.0f}")
    print(f"{page.name}: {size:.2f} MB, {cards} suspects, loaded in {seconds:.2f} s")
    return wrong


def enlarge(result: ScanResult, records: int) -> ScanResult:
    """Return a result whose records are repeated until there are so many.

    As many suspects have a picture of their own as a check would give one, each with the
    unflagged record next to it.
    """
    seen = result.evidence or Evidence()
    times = -(-records // max(1, len(result.samples)))

    def again(digest: str, i: int) -> str:
        return hashlib.sha256(f"{digest}{i}".encode()).hexdigest() if digest else ""

    samples = tuple(
        replace(s, sample_id=f"{s.sample_id}-{i}", digest=again(s.digest, i))
        for i in range(times)
        for s in result.samples
    )[:records]
    known, flagged = {s.digest for s in samples}, {s.digest for s in samples if s.suspicious}
    pictures = [
        replace(p, digest=again(p.digest, i), twin=again(p.twin, i))
        for i in range(times)
        for p in seen.pictures
    ]
    suspects = [p for p in pictures if p.digest in flagged][:MAX_PICTURES]
    beside = {p.twin for p in suspects}
    others = [p for p in pictures if p.digest in beside & known]
    evidence = replace(seen, pictures=(*suspects, *others), near_misses=())
    counts = replace(result.counts, records=len(samples), scored=len(samples))
    counts = replace(counts, suspicious=len(flagged))
    return replace(result, samples=samples, evidence=evidence, counts=counts)


def main() -> int:
    """Check a page; 0 if nothing is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="HTML report, or a saved result")
    parser.add_argument("--records", type=int, help="repeat the result's records")
    parser.add_argument("-o", "--out", type=Path, help="folder for screenshots")
    options = parser.parse_args()
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        print(f"none of {', '.join(BROWSERS)} is installed", file=sys.stderr)
        return 2
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        page: Path = options.page
        if page.suffix == ".json":
            result = load_result(page)
            if options.records is not None:
                result = enlarge(result, options.records)
            page = Path(profile) / "report.html"
            page.write_text(render(result, "html"), encoding="utf-8")
        browser = Browser(program, profile)
        try:
            wrong = check(browser, page, options.out)
        finally:
            browser.close()
    for line in wrong:
        print(f"  {line}")
    print("  nothing left the page" if not wrong else f"  {len(wrong)} things are wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
