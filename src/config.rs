//! Reading TOML run files; an unknown key is an error that names the nearest known one.
