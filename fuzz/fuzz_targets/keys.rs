#![cfg_attr(fuzzing, no_main)]
basalt_fuzz::target!(basalt_fuzz::keys::run, basalt_fuzz::keys::seeds);
