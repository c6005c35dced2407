"""A local page: drop an image, see the class and why.

Only this file and ``correct_tab`` import Gradio. Nothing leaves the machine: no telemetry, fonts
of the system, a content policy that lets the browser talk to this page alone, and no answer to a
name that is not this machine's (a stranger's web page could otherwise have the browser read this
one: DNS rebinding). Uploads and figures are files that are deleted after half an hour.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Read when Gradio is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response

from agnet_vision.demo import visit
from agnet_vision.errors import ImageReadError, PredictionError
from agnet_vision.explain.figures import PANELS, panels_of
from agnet_vision.explain.overlays import ThemeName
from agnet_vision.models.agnet import AGNet

if TYPE_CHECKING:
    from agnet_vision.demo.correcting import Correcting

MAX_FILE_SIZE = "20mb"
# 'unsafe-inline' and 'unsafe-eval' are Gradio's own; what counts is that every source is this page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'self'"
)
KEPT_SECONDS = (300, 1800)  # how often files are looked through, and how old they grow
CSS = """
.gradio-container { max-width: 1280px !important; width: 100% !important; margin: auto; }
#panels .block { border-width: 0 !important; }
#panels { background: none; }
#panels .styler { background: none; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
footer { display: none !important; }
/* The buttons would lie over the ends of titles. */
@media (hover: hover) { [id^=panel-].block:not(:hover) .icon-button-wrapper { opacity: 0; } }
@media (max-width: 480px) { .gradio-container { padding: 8px !important; } }
"""
# The figures take the page's theme: the last input of every look is filled in by the browser.
WITH_THEME = """(...inputs) => [
  ...inputs.slice(0, -1), document.body.classList.contains('dark') ? 'dark' : 'light'
]"""


class Handlers:
    """What the page does with its inputs."""

    def __init__(self, models: Mapping[str, AGNet]) -> None:
        self.models = models

    def fit(self, name: str) -> tuple[gr.Slider, str]:
        """Set the slider and the source of regions to what a network was trained with."""
        model = self.models[name]
        own = model.proposer.num_clusters
        return gr.Slider(maximum=model.head.num_clusters, value=own), visit.source_name(
            model.proposer
        )

    def look(
        self, path: str | None, name: str, source: str, kappa: float, theme: ThemeName
    ) -> list[Any]:
        """Fill the page with an explanation, or say why a file cannot be used."""
        empty = [gr.Image(visible=False) for _ in PANELS]
        if path is None:
            # Also after a refusal, which takes the upload away: what was said about it stays.
            return [gr.skip(), None, gr.skip(), *empty]

        model, num_clusters = self.models[name], int(kappa)
        try:
            explanation = visit.explain_file(model, path, source, num_clusters)
        except (ImageReadError, PredictionError) as error:
            # The upload is taken off the page as well: the browser would go on with it.
            reason = getattr(error, "reason", error)
            advice = "Choose an image of up to 40 megapixels."
            return [None, None, f"**This file cannot be used:** {reason}. {advice}", *empty]

        panels = panels_of(explanation)
        drawn = [gr.Image(visit.draw(explanation, panel, theme), visible=True) for panel in panels]
        drawn += empty[len(panels) :]
        words = visit.remark(model, explanation, source, num_clusters)
        return [gr.skip(), visit.ranking(explanation), words, *drawn]


def build_page(
    models: Mapping[str, AGNet],
    examples: list[Path] | None = None,
    correcting: Correcting | str | None = None,
) -> gr.Blocks:
    """Lay out the page for one network or several.

    Args:
        models: networks by the name the page shows; variants of one network are several.
        examples: images to start from.
        correcting: the run that can be corrected, or why it cannot; None: nothing is said of it.
    """
    with gr.Blocks(
        title="AG-Net", analytics_enabled=False, fill_width=True, delete_cache=KEPT_SECONDS
    ) as page:
        gr.Markdown("# AG-Net: where did it look?\nDrop an image. Nothing leaves this computer.")
        if correcting is None:
            _lay_out(models, examples)
        else:
            from agnet_vision.demo.correct_tab import build_correct_tab  # with the training, 2 s

            with gr.Tab("Look"):
                _lay_out(models, examples)
            with gr.Tab("Correct") as tab:
                build_correct_tab(tab, correcting)
    return page


def _lay_out(models: Mapping[str, AGNet], examples: list[Path] | None) -> None:
    """Lay out an image, its class, and the figures."""
    theme = gr.Textbox("light", visible="hidden")
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            upload, model, source, kappa = _controls(models)
        with gr.Column(scale=2, min_width=300):
            panels = [_panel(PANELS[0])]
        with gr.Column(scale=1, min_width=300):
            label = gr.Label(label="Prediction", num_top_classes=5, elem_id="prediction")
            note = gr.Markdown(elem_id="note")
    with (
        gr.Accordion("Keypoints, regions, attention", open=False, elem_id="more"),
        gr.Group(elem_id="panels"),
    ):
        panels += [_panel(name) for name in PANELS[1:]]
    if examples:
        places = [str(path) for path in examples]
        gr.Examples(places, upload, cache_examples=False, api_visibility="private")

    handlers = Handlers(models)
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    look: dict[str, Any] = {
        "fn": handlers.look,
        "inputs": [upload, model, source, kappa, theme],
        "outputs": [upload, label, note, *panels],
        "js": WITH_THEME,
        **quiet,
    }
    model.input(handlers.fit, model, [kappa, source], **quiet).then(**look)
    # A slider that is dragged, typed into or moved by keys: the last value is the one drawn.
    for event in (upload.change, source.input, kappa.input):
        event(**look, trigger_mode="always_last")
    upload.clear(lambda: "", None, note, **quiet)


def _controls(
    models: Mapping[str, AGNet],
) -> tuple[gr.Image, gr.Dropdown, gr.Dropdown, gr.Slider]:
    """Lay out the image, the network, the source of regions, and kappa."""
    upload = gr.Image(
        label="Image",
        sources=["upload", "webcam", "clipboard"],
        type="filepath",
        height=280,
        buttons=["fullscreen"],
        elem_id="upload",
    )
    # Opening the file is left to our own reader: the handlers get its path, in a folder that Gradio
    # has checked. Set on the object, for Gradio writes a file beside the module of a subclass.
    upload.preprocess = _path_of  # type: ignore[method-assign]

    name, model = next(iter(models.items()))
    own, kappa = visit.source_name(model.proposer), model.head.num_clusters
    choices = [*dict.fromkeys([*visit.region_sources(), own])]
    return (
        upload,
        gr.Dropdown(list(models), value=name, label="Network (variant)", elem_id="model"),
        gr.Dropdown(choices, value=own, label="Regions from"),
        gr.Slider(
            1,
            kappa,
            model.proposer.num_clusters,
            step=1,
            elem_id="kappa",
            label="κ, groups of keypoints",
        ),
    )


def _panel(name: str) -> gr.Image:
    """Lay out the place of a figure."""
    return gr.Image(
        label=name,
        interactive=False,
        show_label=False,
        format="png",
        buttons=["download", "fullscreen"],
        elem_id=f"panel-{name}",
        visible=False,
    )


def _path_of(payload: Any) -> str | None:
    """Return the path of an upload, None without one."""
    return payload.path if payload is not None else None


def launch(page: gr.Blocks, *, host: str = "127.0.0.1", port: int | None = None) -> str:
    """Serve the page from a thread, and return its address.

    ``page.block_thread()`` waits for Ctrl-C, ``page.close()`` ends it.

    Args:
        page: layout from ``build_page``.
        host: address to listen at; by default nobody else can reach the page.
        port: port to listen at; by default the first free one from 7860 on.
    """
    machine = socket.gethostname()
    names = ["localhost", "127.0.0.1", "[::1]", host, machine, f"{machine}.local"]
    if host == "0.0.0.0":  # whoever reaches it may call it by any of its addresses
        names = ["*"]

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
        app_kwargs={
            "middleware": [
                Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False),
                Middleware(BaseHTTPMiddleware, dispatch=add_policy),
            ]
        },
    )

    return address


async def add_policy(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Let the browser connect to this page alone."""
    response = await call_next(request)
    response.headers["content-security-policy"] = POLICY
    response.headers["referrer-policy"] = "no-referrer"
    return response
