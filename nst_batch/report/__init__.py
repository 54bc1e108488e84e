"""A run as one HTML page: pictures in a grid of contents and styles, made from the run's folder alone.

``gallery.py`` says what is shown, ``thumbnails.py`` makes small pictures, and ``page.py`` puts both into the page, the
parts of which are ``page.html``, ``page.css`` and ``page.js``. Without torch.
"""
