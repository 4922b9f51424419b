// An ESME by the npm package "smpp". Usage: node esme.js PORT PASSWORD
// Binds, asks for the link, sends a message, takes one, unbinds; tells what happened in a line of
// JSON.
'use strict';
const smpp = require('smpp');

const [port, password] = process.argv.slice(2);
const told = {};
const session = smpp.connect({ url: `smpp://127.0.0.1:${port}` });

function end() {
  session.unbind((response) => {
    told.unbound = response.command_status;
    session.close();
  });
}

session.on('connect', () => {
  session.bind_transceiver({ system_id: 'node', password }, (response) => {
    told.bound = response.command_status;
    told.smsc = response.system_id;
    if (response.command_status) {
      session.close();
      return;
    }
    session.enquire_link({}, (link) => {
      told.link = link.command_status;
      session.submit_sm(
        {
          source_addr: 'me',
          destination_addr: '27831234567',
          data_coding: 8,
          short_message: 'h\u00e9 \u0436 \ud83d\ude00',
          user_message_reference: 0x1234,
        },
        (submitted) => {
          told.message_id = submitted.message_id;
        }
      );
    });
  });
});
session.on('deliver_sm', (pdu) => {
  told.text = pdu.short_message.message;
  session.send(pdu.response({ command_status: smpp.ESME_RX_T_APPN }));
  end();
});
session.on('close', () => process.stdout.write(JSON.stringify(told) + '\n'));
