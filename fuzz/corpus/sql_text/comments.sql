/* a /* nested */ b */ SELECT 1 -- end
; ; SELECT "Quoted ""name", 'it''s', E'\n\u0041', 1e-3, .5, 0x1F