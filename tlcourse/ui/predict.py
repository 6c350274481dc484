"""`predict`: a prediction that can be made in the browser."""

from functools import wraps
from typing import Any

from tlcourse.course import predictions
from tlcourse.course.predictions import Prediction


@wraps(predictions.predict)
def predict(*args: Any, **kwargs: Any) -> Prediction:
    return predictions.predict(*args, **kwargs)
