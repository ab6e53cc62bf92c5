"""Drives the real thing: working folders, daemons, servers, pages in a browser, disks that fill. Its parts, from the outside in:

- `homes`: working folders prepared once, such as one with a first champion; `home`: `churn` in one of them, in processes that can be killed
- `driver`: what those processes run, so that one of them dies or waits at a named call
- `ui`: the Dagster UI of a folder; `server`: `churn serve` of it; `joined`: somebody's Dagster that joins it
- `browser`: a page, opened and clicked; `accessible`: what axe finds wrong with it
- `disks`: file systems that fill or lose their power; `machine`: a free port, rights, patience

The AWS stand-ins are in `tests/aws/`, what is done to folders with this in `tests/reliability/`.
"""
