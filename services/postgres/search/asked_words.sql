-- A word of the question has several readings: stemmed in every language that the archive may hold, and as it stands.
-- Words that Postgres calls stop words in English or Spanish are left out of the unstemmed reading too.
tokens as materialized (
    select token, min(place) as place from ts_parse('default', :words) with ordinality as part (type, token, place)
    group by token order by min(place) limit :most_tokens
),
asked as materialized (
    select cast(row_number() over (order by min(place)) as int) as number, cast(readings as tsquery) as readings
    from (
        select string_agg(quote_literal(lexeme), ' | ' order by lexeme) as readings, min(place) as place
        from (
            select token, place, lexeme
            from tokens,
                 unnest(cast(:languages as text[])) as language,
                 unnest(tsvector_to_array(text_lexemes(language, token))) as lexeme
            union
            select token, place, word
            from tokens, unnest(tsvector_to_array(text_lexemes('simple', token))) as word
            where cardinality(ts_lexize('english_stem', word)) > 0 and cardinality(ts_lexize('spanish_stem', word)) > 0
        ) as read
        group by token
    ) as words
    group by readings order by min(place) limit :most_words
),
