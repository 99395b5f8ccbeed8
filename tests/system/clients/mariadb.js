// What applications do with MariaDB's own driver for Node.js, which sends statements without waiting for answers: batches,
// prepared statements, pipelines. Everything that it prints must be the same with any server.
const mariadb = require('mariadb')
const { host, port, user, password, database } = JSON.parse(process.env.CLIENT_PLACE)
const place = { host, port, user, password, database }
// What the server under test does not offer yet is left out of both runs.
const leftOut = (process.env.CLIENT_LEFT_OUT || '').split(',')
const say = (what, value) => console.log(what, JSON.stringify(value, (_, v) => typeof v === 'bigint' ? `${v}n` : v))
const failed = async (what, work) => {
  try { say(what, await work()) } catch (error) { say(what, [error.code, error.errno, error.sqlState]) }
}

async function main() {
  const one = await mariadb.createConnection({ ...place, multipleStatements: true, bulk: !leftOut.includes('bulk'), pipelining: true, dateStrings: true })
  await one.query('DROP TABLE IF EXISTS m_items')
  await one.query('CREATE TABLE m_items (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), n BIGINT, price DECIMAL(8,2), at DATETIME(6), raw BLOB)' + (process.env.CLIENT_SHARDED || ''))
  const batch = await one.batch('INSERT INTO m_items (id, name, n, price, at, raw) VALUES (?, ?, ?, ?, ?, ?)', [
    [1, 'a', 1, '1.5', '2021-05-06 07:08:09.123456', Buffer.from('xyz')], [2, 'b', null, null, null, null], [3, 'ü', 9007199254740993n, '-3.25', '2000-01-01 00:00:00', Buffer.alloc(3)]])
  say('batch', batch)
  say('rows', await one.query('SELECT * FROM m_items ORDER BY id'))
  say('execute', await one.execute('SELECT name, n, price FROM m_items WHERE id >= ? ORDER BY id', [2]))
  const prepared = await one.prepare('UPDATE m_items SET n = ? WHERE id = ?')
  for (const [n, id] of [[10, 1], [20, 2], [30, 77]]) say('prepared', await prepared.execute([n, id]))
  prepared.close()
  // One behind the other without waiting; an error in the middle is its own statement's alone.
  const outcomes = await Promise.allSettled([
    one.query('SELECT 1 AS a'), one.query('SELECT broken'), one.query('INSERT INTO m_items (id, name) VALUES (50, ?)', ['p']),
    one.execute('SELECT COUNT(*) AS n FROM m_items WHERE name = ?', ['p']), one.query('SELECT 2 AS b')])
  say('pipeline', outcomes.map(one => one.status === 'fulfilled' ? one.value : [one.reason.code, one.reason.errno]))
  await one.beginTransaction()
  await one.batch('UPDATE m_items SET n = n + ? WHERE id = ?', [[1, 1], [2, 2], [3, 3]])
  await one.rollback()
  await one.beginTransaction()
  await one.batch('UPDATE m_items SET n = n + ? WHERE id = ?', [[1, 1], [2, 2], [3, 3]])
  await one.commit()
  say('after', await one.query('SELECT id, n FROM m_items ORDER BY id'))
  await failed('batch with an error', () => one.batch('INSERT INTO m_items (id, name) VALUES (?, ?)', [[100, 'x'], [1, 'again'], [101, 'y']]))
  say('several', await one.query('SELECT 1 AS a; SELECT 2 AS b'))
  const names = []
  for await (const row of one.queryStream('SELECT name FROM m_items WHERE id < 4 ORDER BY id')) names.push(row.name)
  say('stream', names)
  await one.reset()
  say('reset', await one.query('SELECT @@autocommit AS a, DATABASE() AS d'))
  await one.changeUser({ user, password, database })
  say('import', await one.query('SELECT COUNT(*) AS n FROM m_items WHERE id < 4'))
  await one.end()
  const pool = mariadb.createPool({ ...place, connectionLimit: 3, resetAfterUse: true })
  say('pool', await Promise.all(Array.from({ length: 20 }, (_, i) => pool.query('SELECT ? + 1 AS v', [i]).then(r => String(r[0].v)))))
  await pool.end()
}

main().then(() => process.exit(0), error => { console.log('FAILED', error); process.exit(1) })
