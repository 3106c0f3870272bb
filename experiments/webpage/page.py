"""The page itself: what is on it, and what answers when something is done there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from benchmark.data.images import read_picture
from benchmark.output.escaping import code_span
from benchmark.output.secrets import mask
from benchmark.results.pictures import ImageArray
from experiments.commands.predict import outputs, write
from experiments.errors import FAULTS, InputError
from experiments.published import Bin
from experiments.settings import ExperimentConfig
from experiments.webpage.answers import render, render_fault, segment, shrink
from models.system import System

EXAMPLES = Path("docs/examples")
MOST = 8  # sentences at once
LARGEST = "200mb"  # of an uploaded file
HOSTS = ("127.0.0.1", "localhost")
# gradio's page brings all it needs along; this keeps it so, whatever a sentence or a later gradio would fetch
POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'"


@dataclass(frozen=True)
class Served:
    """What answers: a trained run, ready to predict, and what is known of it."""

    network: System
    config: ExperimentConfig
    miou: float | None
    bins: Sequence[Bin]

    def preview(self, file: str | None) -> tuple[ImageArray | None, str]:
        """The image as the model gets it, scaled down, or what is wrong with it."""
        if file is None:
            return None, ""
        try:
            return shrink(read_picture(Path(file)).pixels), ""
        except FAULTS as error:
            return None, render_fault(_message(error, file))

    def answer(self, file: str | None, text: str) -> tuple[str, list[str] | None]:
        """The answers as HTML, and the files of masks and overlays, as experiments.predict writes them."""
        try:
            if file is None:
                raise InputError("choose or drop an image first")
            sentences = [line.strip() for line in text.splitlines() if line.strip()]
            if not sentences:
                raise InputError("type a sentence: what should be found?")
            if len(sentences) > MOST:
                raise InputError(f"{len(sentences)} sentences: give {MOST} at most at once")
            picture = read_picture(Path(file))
            answers, notes = segment(self.network, picture, sentences, self.bins)
        except FAULTS as error:
            return render_fault(_message(error, file)), None
        files = outputs(Path(tempfile.mkdtemp()) / "overlay.png", Path(file), len(sentences))
        write(picture.pixels, [answer.mask for answer in answers], files)
        return render(answers, notes, self.config.dataset), [str(one) for pair in files for one in pair]


def _message(error: Exception, file: str | None) -> str:
    """An error as the page says it: an uploaded file by the name that it came with, secrets masked."""
    return mask(str(error) if file is None else str(error).replace(file, Path(file).name))


def read_examples(folder: Path = EXAMPLES) -> list[tuple[str, str]]:
    """Image files and the sentences to try on them, one a line; none outside the repository."""
    file = folder / "examples.json"
    if not file.is_file():
        return []
    listed = json.loads(file.read_text(encoding="utf-8"))
    return [(str((folder / one["image"]).resolve()), "\n".join(one["sentences"])) for one in listed]


def build_page(served: Served) -> gr.Blocks:
    """The page's parts and what connects them."""
    config, examples = served.config, read_examples()
    score = "" if served.miou is None else f", test mIoU {served.miou:.1%} there"
    variant, model, dataset = (code_span(name) for name in (config.variant, config.model_name, config.dataset))
    about = (
        f"{variant} of size {model}, trained on {dataset}, seed {config.seed}{score}. "
        "It always answers, though nothing fits the sentence, and generalises poorly to imagery unlike its own."
    )
    with gr.Blocks(title="rsrefseg-bench", analytics_enabled=False) as page:
        gr.Markdown(f"# Say what to find in an aerial image\n{about}")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                file = gr.File(label="image (PNG, JPEG, TIFF ..., any size)", height=120)
                text = gr.Textbox(label="sentences, one a line", lines=3, max_length=2000)
                ask = gr.Button("Segment", variant="primary")
                if examples:
                    shown = gr.Dataset(
                        label="or try one of these",
                        components=[gr.Image(visible=False), gr.Textbox(visible=False)],
                        headers=["image", "sentences"],
                        samples=[[image, sentences.replace("\n", " / ")] for image, sentences in examples],
                        type="index",
                    )
            with gr.Column(scale=2, min_width=480):
                picture = gr.Image(
                    label="the image, scaled down", elem_id="preview", interactive=False, height=280, buttons=[]
                )
                wrong, found = gr.HTML(), gr.HTML()
                files = gr.File(label="masks and overlays at the image's own size", interactive=False)
        # older answers go in the browser: a server's word may come when the next answer is already there
        gone = {"fn": None, "js": "() => ['', null]", "outputs": [found, files]}
        # plain requests: gradio's queue can lose one that comes while the stream of the one before is being closed
        seen = {
            "fn": served.preview,
            "inputs": file,
            "outputs": [picture, wrong],
            "show_progress": "hidden",
            "queue": False,
        }
        asked = {"fn": served.answer, "inputs": [file, text], "outputs": [found, files], "queue": False}
        gr.on([file.upload, file.clear], **gone)
        # what comes while an answer is made is not dropped, as it would be by default
        gr.on([file.upload, file.clear], **seen, trigger_mode="always_last")
        ask.click(**asked, trigger_mode="always_last")
        if examples:
            shown.click(lambda index: examples[index], shown, [file, text]).then(**gone).then(**seen).then(**asked)
    return page


def build_app(served: Served, port: int) -> FastAPI:
    """The page as a server's application: no telemetry, nothing fetched from elsewhere, only for this machine."""
    app = FastAPI(openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))

    @app.middleware("http")
    async def keep_to_this_machine(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return gr.mount_gradio_app(
        app, build_page(served), path="/", server_name=HOSTS[0], server_port=port, footer_links=[], run_history=False,
        max_file_size=LARGEST, ssr_mode=False, mcp_server=False, enable_monitoring=False,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),  # else from Google
        css_paths=[Path(__file__).with_name("page.css")],
    )  # fmt: skip
