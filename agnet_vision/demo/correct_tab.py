"""The page's tab *Correct*: click where evidence must not lie, train again, save."""

from __future__ import annotations

from typing import Any

import gradio as gr

from agnet_vision.demo.correcting import COMPARED, Correcting
from agnet_vision.errors import AGNetError

LOOKS = {"not there": "no", "there": "yes"}
INTRO = (
    "Training images whose evidence gathers in one place come first: orange speaks for the class. "
    "Where it must not lie, click; that region is marked. Some images of each class are enough."
)


class CorrectHandlers:
    """What the tab does with its inputs."""

    def __init__(self, correcting: Correcting) -> None:
        self.correcting = correcting

    def show(self, number: int) -> list[Any]:
        """Fill in an image, and what is said of it."""
        return [number, self.correcting.draw(number), self.correcting.describe(number)]

    def step(self, number: int, by: int) -> list[Any]:
        """Go on to another image."""
        return self.show((number + by) % len(self.correcting.suspects))

    def click(self, number: int, look: str, event: gr.SelectData) -> list[Any]:
        """Mark the region that was clicked."""
        column, row = event.index
        self.correcting.click(number, column, row, LOOKS[look])
        return self.show(number)

    def undo(self, number: int) -> list[Any]:
        """Take the last mark back, and show its image."""
        marked = self.correcting.undo()
        return self.show(number if marked is None else marked)

    def train(self, progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008  Gradio's way
        """Fit the last layer to the marks, and draw what changes."""
        try:
            words = self.correcting.train(lambda done, what: progress(done, what))
        except AGNetError as error:
            return [f"**Not trained:** {error}", *[gr.skip()] * COMPARED]
        changes = self.correcting.changes()
        drawn = [gr.Image(pixels, visible=True) for pixels, _ in changes]
        answers = "; ".join(answer for _, answer in changes)
        words += f"\n\nBelow: marks, evidence before, evidence after. Answers: {answers}."
        return [words, *drawn, *[gr.Image(visible=False)] * (COMPARED - len(drawn))]

    def save(self) -> str:
        """Write the corrected run."""
        return self.correcting.save()


def build_correct_tab(tab: gr.Tab, correcting: Correcting | str) -> None:
    """Lay out the tab.

    Args:
        tab: the tab, which is empty.
        correcting: the run that is corrected, or why there is none.
    """
    if isinstance(correcting, str):
        gr.Markdown(f"Nothing can be corrected here: {correcting}", elem_id="no-correction")
        return

    gr.Markdown(INTRO)
    number = gr.State(0)
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            image = gr.Image(
                interactive=False, show_label=False, buttons=[], elem_id="suspect", format="png"
            )
            look = gr.Radio([*LOOKS], value="not there", show_label=False, elem_id="look")
            with gr.Row():
                back = gr.Button("Back", min_width=80)
                on = gr.Button("Next", min_width=80, elem_id="next")
                undo = gr.Button("Undo", min_width=80, elem_id="undo")
        with gr.Column(scale=1, min_width=300):
            about = gr.Markdown(elem_id="about")
            with gr.Row():
                train = gr.Button("Train again", variant="primary", elem_id="train")
                save = gr.Button("Save", elem_id="save")
            outcome = gr.Markdown(elem_id="outcome")
            changes = [
                gr.Image(
                    interactive=False,
                    show_label=False,
                    buttons=[],
                    visible=False,
                    format="png",
                    elem_id=f"change-{place}",
                )
                for place in range(COMPARED)
            ]

    handlers = CorrectHandlers(correcting)
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    shown = [number, image, about]
    tab.select(handlers.show, number, shown, **quiet)
    image.select(handlers.click, [number, look], shown, **quiet)
    back.click(lambda value: handlers.step(value, -1), number, shown, **quiet)
    on.click(lambda value: handlers.step(value, 1), number, shown, **quiet)
    undo.click(handlers.undo, number, shown, **quiet)
    train.click(handlers.train, None, [outcome, *changes], api_visibility="private")
    save.click(handlers.save, None, outcome, api_visibility="private")
