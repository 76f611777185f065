#![cfg_attr(fuzzing, no_main)]
basalt_fuzz::target!(basalt_fuzz::pgwire::run, basalt_fuzz::pgwire::seeds);
