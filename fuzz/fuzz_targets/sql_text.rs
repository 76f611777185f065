#![cfg_attr(fuzzing, no_main)]
basalt_fuzz::target!(basalt_fuzz::sql_text::run, basalt_fuzz::sql_text::seeds);
