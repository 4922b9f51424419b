// An SMSC by the npm package "smpp". Usage: node smsc.js PORT
// The password is "secret". Each message is sent back as it came, and followed by a delivery
// receipt if one was asked for. Some destinations are special, see below.
'use strict';
const smpp = require('smpp');

const port = Number(process.argv[2]);
let lastId = 0;
let throttled = 0;

const special = {
  throttled: (session, pdu) => {
    throttled += 1;
    const status = throttled % 3 ? smpp.ESME_RTHROTTLED : smpp.ESME_ROK;
    session.send(pdu.response({ command_status: status, message_id: 'at last' }));
  },
  vendor: (session, pdu) => session.send(pdu.response({ command_status: 0x400 })),
  silent: () => {},
  unbind: (session, pdu) => {
    session.send(pdu.response({ message_id: 'last' }));
    session.unbind(() => session.close());
  },
  cut: (session) => session.destroy(),
  alert: (session, pdu) => {
    session.send(pdu.response({ message_id: 'alert' }));
    session.alert_notification({ source_addr: '27831234567', esme_addr: 'me' });
  },
};

function bind(session, pdu) {
  const ok = pdu.password === 'secret';
  session.send(
    pdu.response(
      ok ? { system_id: 'node' } : { command_status: smpp.ESME_RINVPASWD }
    )
  );
}

// The package reads a user data header into its elements, but writes only a whole one.
function withWholeHeader(text) {
  if (!text || !text.udh) {
    return text;
  }
  const elements = Buffer.concat(text.udh);
  return { ...text, udh: Buffer.concat([Buffer.from([elements.length]), elements]) };
}

function submit(session, pdu) {
  const act = special[pdu.destination_addr];
  if (act) {
    act(session, pdu);
    return;
  }
  lastId += 1;
  const id = lastId.toString(16);
  session.send(pdu.response({ message_id: id }));
  const addresses = {
    source_addr_ton: pdu.dest_addr_ton,
    source_addr_npi: pdu.dest_addr_npi,
    source_addr: pdu.destination_addr,
    destination_addr: pdu.source_addr,
  };
  session.deliver_sm({
    ...addresses,
    esm_class: pdu.esm_class,
    data_coding: pdu.data_coding,
    short_message: withWholeHeader(pdu.short_message),
    ...(pdu.message_payload ? { message_payload: pdu.message_payload } : {}),
  });
  if (pdu.registered_delivery) {
    session.deliver_sm({
      ...addresses,
      esm_class: 4,
      short_message: `id:${id} stat:DELIVRD`,
      receipted_message_id: id,
      message_state: 2,
    });
  }
}

const server = smpp.createServer((session) => {
  session.on('error', () => session.close());
  for (const command of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(command, (pdu) => bind(session, pdu));
  }
  session.on('submit_sm', (pdu) => submit(session, pdu));
  session.on('data_sm', (pdu) => session.send(pdu.response({ message_id: 'data' })));
  session.on('query_sm', (pdu) =>
    session.send(pdu.response({ message_id: pdu.message_id, message_state: 2 }))
  );
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
  });
});
server.listen(port, '127.0.0.1');
