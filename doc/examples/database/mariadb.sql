CREATE DATABASE nova CHARACTER SET utf8mb4;

-- For "nova-manage db sync" only.
CREATE USER 'nova-sync'@'%' IDENTIFIED BY 'PASSWORD';
GRANT ALL PRIVILEGES ON nova.* TO 'nova-sync'@'%';

-- For everything that runs.
CREATE USER 'nova'@'%' IDENTIFIED BY 'PASSWORD';
GRANT SELECT, INSERT, UPDATE, DELETE ON nova.* TO 'nova'@'%';
