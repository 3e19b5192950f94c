"""placeholder"""

from .messages import Message, Request
