"""The ``max_bandwidth`` of a transfer's configuration."""

from __future__ import annotations

import threading
import time

from boto3.s3.transfer import TransferConfig
from s3transfer.bandwidth import LeakyBucket, RequestExceededException, RequestToken

__all__ = ["Throttle"]


class Throttle:
    """Makes the threads of one transfer keep to its bytes per second; does nothing where no limit is set."""

    def __init__(self, config: TransferConfig, stopped: threading.Event) -> None:
        """Take the configuration, and what tells that the transfer has ended."""
        self._bucket = LeakyBucket(config.max_bandwidth) if config.max_bandwidth else None
        self._stopped = stopped

    def wait_for(self, size: int) -> None:
        """Wait until this many bytes may pass."""
        if self._bucket is None:
            return
        token = RequestToken()
        while not self._stopped.is_set():
            try:
                self._bucket.consume(size, token)
            except RequestExceededException as error:
                time.sleep(error.retry_time)
            else:
                return
