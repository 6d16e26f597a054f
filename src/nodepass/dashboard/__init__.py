"""The web page of a master: loaded when it is first asked for, and drawn with NiceGUI, which the extra `dashboard` brings.

What strangers can reach is small and does not know NiceGUI: a form that asks for the API key, a style sheet, an icon. All
the rest is behind a session (`door`).
"""
