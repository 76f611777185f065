#![cfg_attr(fuzzing, no_main)]
basalt_fuzz::target!(basalt_fuzz::sql_tree::run, basalt_fuzz::sql_tree::seeds);
