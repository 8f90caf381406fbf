-- For "nova-manage db sync" only: the tables are its own.
CREATE ROLE "nova-sync" LOGIN PASSWORD 'PASSWORD';

-- For everything that runs.
CREATE ROLE "nova" LOGIN PASSWORD 'PASSWORD';

CREATE DATABASE "nova" OWNER "nova-sync";
\connect nova
ALTER DEFAULT PRIVILEGES FOR ROLE "nova-sync"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "nova";
ALTER DEFAULT PRIVILEGES FOR ROLE "nova-sync"
    GRANT USAGE ON SEQUENCES TO "nova";
