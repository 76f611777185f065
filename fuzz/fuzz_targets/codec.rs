#![cfg_attr(fuzzing, no_main)]
basalt_fuzz::target!(basalt_fuzz::codec::run, basalt_fuzz::codec::seeds);
