"""Classification of many images: files in, rows of classes and probabilities out."""

from agnet_vision.predict.files import find_images, name_outputs
from agnet_vision.predict.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor", "find_images", "name_outputs"]
