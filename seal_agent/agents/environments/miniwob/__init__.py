"""MiniWoB++: small web pages in a headless Chromium, observed as accessible text."""
