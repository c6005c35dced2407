"""A local page: drop a photograph, see the class and why. The only file that imports Gradio.

Nothing leaves the machine: no telemetry, fonts of the system, a content policy that lets the browser talk to this page alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

# Read when Gradio is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

try:
    import gradio as gr
except ImportError as error:
    from agnet_vision.errors import ConfigError

    raise ConfigError("the demo page needs Gradio; pip install 'agnet_vision[demo]'") from error

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agnet_vision.data.image import read_image
from agnet_vision.errors import ImageReadError
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.figures import (
    PANELS,
    Panel,
    explanation_figure,
    panel_figure,
    save_figure,
)
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.keypoints import Detector
from agnet_vision.regions.proposer import RegionProposer

MAX_FILE_SIZE = "20mb"
MAX_PIXELS = 40_000_000
PROPOSERS = {f"keypoints: {name}": ("keypoints", name) for name in get_args(Detector)} | {
    "control: grid": ("grid", "sift"),
    "control: random boxes": ("random", "sift"),
}
# 'unsafe-inline' and 'unsafe-eval' are Gradio's own; what counts is that every source is this page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'"
)
CSS = """
.gradio-container { max-width: 1280px !important; width: 100% !important; margin: auto; }
#panels .block { border-width: 0 !important; }
#panels .styler { background: none; }
#panels .styler { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 12px; }
footer { display: none !important; }
@media (max-width: 480px) { .gradio-container { padding: 8px !important; } }
"""
# The figures take the page's theme: the last input of every look is filled in by the browser.
WITH_THEME = "(...inputs) => [...inputs.slice(0, -1), document.body.classList.contains('dark') ? 'dark' : 'light']"


class Photograph(gr.Image):
    """An image input that hands over the file unopened, so that our reader, which knows limits, is the first to look."""

    is_template = True  # Gradio draws it as an Image

    def preprocess(self, payload: Any) -> str | None:
        """Return the path of the uploaded file; it lies in Gradio's own folder, which Gradio has checked."""
        return payload.path if payload is not None else None


class StayLocal:
    """Middleware that tells the browser to load nothing from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the policy to every answer."""

        async def send_with_policy(message: Message) -> None:
            """Send, with the policy among the headers."""
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def build_page(models: Mapping[str, AGNet], examples: list[Path] | None = None) -> gr.Blocks:
    """Lay the page out.

    Args:
        models: what the page offers, by the name it shows; variants of one network are several models.
        examples: photographs to start from.

    Raises:
        ValueError: there is no model.
    """
    if not models:
        raise ValueError("models must hold at least one model")
    with gr.Blocks(
        title="AG-Net", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)
    ) as page:
        gr.Markdown(
            "# AG-Net: where did it look?\nDrop a photograph. Nothing leaves this computer."
        )
        theme = gr.Textbox("light", visible="hidden")
        told = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                photograph, model, source, kappa = _controls(models)
            with gr.Column(scale=2, min_width=300):
                label = gr.Label(label="Prediction", num_top_classes=5, elem_id="prediction")
                note = gr.Markdown(elem_id="note")
                with gr.Row():
                    png = gr.DownloadButton("Figure as PNG", interactive=False, elem_id="png")
                    svg = gr.DownloadButton("Figure as SVG", interactive=False, elem_id="svg")
        with gr.Group(elem_id="panels"):
            panels = [_panel(name) for name in PANELS]
        if examples:
            gr.Examples(
                [str(path) for path in examples],
                photograph,
                cache_examples=False,
                api_visibility="private",
            )

        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
        inputs, outputs = (
            [photograph, model, source, kappa, theme],
            [photograph, told, label, note, *panels],
        )
        look: dict[str, Any] = {
            "fn": _looker(models),
            "inputs": inputs,
            "outputs": outputs,
            "js": WITH_THEME,
            **quiet,
        }
        files: dict[str, Any] = {
            "fn": _figure_writer(), "inputs": [told, theme], "outputs": [png, svg], "js": WITH_THEME, **quiet
        }  # fmt: skip
        model.input(_slider_fitter(models), model, [kappa, source], **quiet).then(**look).then(
            **files
        )
        for event in (photograph.change, source.input, kappa.release):
            event(**look).then(**files)
        photograph.clear(lambda: "", None, note, **quiet)
    return page


def _controls(
    models: Mapping[str, AGNet],
) -> tuple[Photograph, gr.Dropdown, gr.Dropdown, gr.Slider]:
    """Lay out what the visitor chooses: photograph, network, source of the regions, kappa."""
    name, model = next(iter(models.items()))
    return (
        Photograph(
            label="Photograph", sources=["upload", "webcam", "clipboard"], type="filepath", height=280,
            buttons=["fullscreen"], elem_id="photograph",
        ),
        gr.Dropdown(list(models), value=name, label="Network (variant)", elem_id="model"),
        gr.Dropdown(list(PROPOSERS), value=_own_source(model), label="Regions from"),
        gr.Slider(
            1, model.head.num_clusters, model.proposer.num_clusters, step=1, elem_id="kappa",
            label="κ, groups of keypoints",
        ),
    )  # fmt: skip


def _panel(name: Panel) -> gr.Image:
    """Make the place of one panel of the figure; it appears with the first photograph."""
    return gr.Image(
        label=name, interactive=False, show_label=False, format="png", buttons=["fullscreen"],
        elem_id=f"panel-{name}", visible=False,
    )  # fmt: skip


def launch(page: gr.Blocks, *, host: str = "127.0.0.1", port: int | None = None) -> str:
    """Serve the page from a thread and return its address; ``page.block_thread()`` waits for Ctrl-C, ``page.close()`` ends it.

    Args:
        page: from ``build_page``.
        host: the loopback by default: nobody else can reach it.
        port: the first free one from 7860 on by default.
    """
    _, address, _ = page.queue(default_concurrency_limit=1, api_open=False).launch(
        server_name=host,
        server_port=port,
        share=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=MAX_FILE_SIZE,
        prevent_thread_lock=True,
        quiet=True,
        footer_links=[],
        theme=gr.themes.Base(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        css=CSS,
        app_kwargs={"middleware": [Middleware(StayLocal)]},
    )
    return address


def _own_source(model: AGNet) -> str:
    """Name the choice that the model was trained with."""
    own = model.proposer
    return next(
        name for name, (source, detector) in PROPOSERS.items()
        if source == own.source and (source != "keypoints" or detector == own.detector)
    )  # fmt: skip


def _slider_fitter(models: Mapping[str, AGNet]) -> Callable:
    """Make the handler that brings slider and regions to what another network was trained with."""

    def fit(name: str) -> tuple[Any, str]:
        """Return the slider and the source of the regions as this network knows them."""
        model = models[name]
        return gr.Slider(
            maximum=model.head.num_clusters, value=model.proposer.num_clusters
        ), _own_source(model)

    return fit


def _looker(models: Mapping[str, AGNet]) -> Callable:
    """Make the handler that explains a photograph."""

    def look(
        path: str | None, name: str, source: str, kappa: float, theme: Literal["light", "dark"]
    ) -> list[Any]:
        """Fill the page from the choices; a file that is no photograph is refused in words."""
        if path is None:
            # Also after a refusal, which takes the photograph away: what was said about it stays.
            return [gr.skip(), None, None, gr.skip(), *(gr.Image(visible=False) for _ in PANELS)]
        model = models[name]
        try:
            image = read_image(path, max_pixels=MAX_PIXELS)
        except ImageReadError as error:
            # The photograph is taken off the page as well: the browser would go on with it.
            message = f"**This file cannot be used:** {error.reason}. Choose a photograph of up to 40 megapixels."
            return [None, None, None, message, *(gr.Image(visible=False) for _ in PANELS)]
        origin, detector = PROPOSERS[source]
        settings = {"source": origin, "detector": detector, "num_clusters": int(kappa)}
        proposer = RegionProposer.from_settings({**model.proposer.settings(), **settings})
        told = explain(model, image, proposer=proposer)
        drawn = [gr.Image(_draw(told, panel, theme), visible=True) for panel in PANELS]
        return [gr.skip(), told, _ranking(told), _remark(model, told, proposer), *drawn]

    return look


def _ranking(told: Explanation) -> dict[str, float]:
    return {
        name.replace("_", " "): float(p)
        for name, p in zip(told.classes, told.probabilities, strict=True)
    }


def _remark(model: AGNet, told: Explanation, proposer: RegionProposer) -> str:
    """Say what is shown, and when it is not what the network was trained with."""
    words = f"{int(told.mask.sum())} regions of {len(told.mask)} slots."
    own = model.proposer
    if not model.head.needs_regions:
        return "This variant sees the whole image only; regions change nothing."
    if (own.source, own.detector, own.num_clusters) != (
        proposer.source,
        proposer.detector,
        proposer.num_clusters,
    ):
        words += f" The network was trained with κ = {own.num_clusters}, {_own_source(model)}; others are new to it."
    return words


def _draw(
    told: Explanation, panel: Panel, theme: Literal["light", "dark"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Render a panel to pixels."""
    canvas = FigureCanvasAgg(panel_figure(told, panel, theme=theme))
    canvas.figure.set_dpi(150)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _figure_writer(kept: int = 16) -> Callable:
    """Make the handler that writes the whole figure for download; Gradio copies the files, so the oldest are overwritten."""
    folder = TemporaryDirectory(prefix="agnet_")
    number = count()

    def write(told: Explanation | None, theme: Literal["light", "dark"]) -> list[Any]:
        """Write PNG and SVG, and put them behind the buttons."""
        if told is None:
            return [gr.DownloadButton(value=None, interactive=False)] * 2
        place = Path(folder.name) / str(next(number) % kept)
        figure = explanation_figure(told, theme=theme)
        paths = [save_figure(figure, place / f"explanation.{suffix}") for suffix in ("png", "svg")]
        return [gr.DownloadButton(value=str(path), interactive=True) for path in paths]

    return write
