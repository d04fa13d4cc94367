"""DTCL, the text client: a small language for the control API of one or several daemons, typed or run unattended.

``parsing`` makes a frozen syntax tree (``syntax``) of a text, ``interpreter`` carries it out with asyncio alone,
through `bodydouble.control.client.ControlClient` and nothing else of the product.
"""
