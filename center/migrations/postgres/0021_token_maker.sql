CREATE INDEX api_tokens_maker ON api_tokens (made_by);
