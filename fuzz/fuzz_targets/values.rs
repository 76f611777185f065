#![cfg_attr(fuzzing, no_main)]
basalt_fuzz::target!(basalt_fuzz::values::run, basalt_fuzz::values::seeds);
