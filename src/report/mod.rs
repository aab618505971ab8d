//! The HTML report and the side-by-side view in the terminal.
