create table goose_db_version (
	id integer primary key autoincrement,
	version_id integer not null,
	is_applied integer not null,
	tstamp timestamp default (datetime('now'))
);
insert into goose_db_version (version_id, is_applied) values (0, true);
insert into goose_db_version (version_id, is_applied) values (1, true);
