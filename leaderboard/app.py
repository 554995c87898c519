"""The leaderboard: `streamlit run leaderboard/app.py [-- --store PATH]`. It reads the store and writes nothing.

This file is the router; each page is a file in `pages/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    # Streamlit puts this folder on the path, not the one that holds it.
    sys.path.insert(0, str(HERE.parent))

st.set_page_config(page_title="bench · leaderboard", page_icon=":material/leaderboard:", layout="wide")
st.navigation(
    [st.Page(HERE / "pages" / "results.py", title="Results", icon=":material/leaderboard:", default=True)]
).run()
