-- Which gateway sends, so that another one can tell a dispatch under way from one that was left behind.
ALTER TABLE spends ADD COLUMN gateway TEXT NOT NULL DEFAULT '';
