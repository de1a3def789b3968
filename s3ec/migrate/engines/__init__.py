"""Engines for more than one machine. None of them knows anything of encryption.

Each carries tasks to workers as text and outcomes back: `s3ec.migrate.run_json` is all that runs there. The journal
stays with the run's own process. A worker may die at any moment, and a task may run twice: the step's conditional
requests make the second run find the first one's work.

- `s3ec.migrate.engines.s3_batch`: S3 Batch Operations and a Lambda function; no machine of one's own.
- `s3ec.migrate.engines.dask`: a Dask cluster (``pip install s3ec[dask]``).
- `s3ec.migrate.engines.ray`: a Ray cluster (``pip install s3ec[ray]``).
"""

from __future__ import annotations

from s3ec.migrate.engines.driver import Driver, WorkerPool

__all__ = ["Driver", "WorkerPool"]
