"""What the network saw, and why it answered so."""

from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.predict.files import find_images, name_outputs
from agnet_vision.predict.predictor import Prediction, Predictor

__all__ = ["Explanation", "Prediction", "Predictor", "explain", "find_images", "name_outputs"]
