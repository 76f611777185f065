#![cfg_attr(fuzzing, no_main)]
basalt_fuzz::target!(basalt_fuzz::wal::run, basalt_fuzz::wal::seeds);
