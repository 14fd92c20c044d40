package pcsclite

import "context"

// vendorName is what programs are told of the maker of the readers.
const vendorName = "Cloud of Secure Elements"

// attrib answers SCardGetAttrib. A reader behind a socket has no clocks and no
// serial number; who asks for one is told that it is not there.
func (r *Reader) attrib(ctx context.Context, h *handle, id Attribute) ([]byte, error) {
	if err := r.usable(ctx, h); err != nil {
		return nil, err
	}
	defer r.srv.mu.Unlock()
	present := r.state.Status&Present != 0
	switch id {
	case AttrATR:
		if !present {
			return nil, ENoSmartcard
		}
		return append([]byte(nil), r.state.ATR...), nil
	case AttrICCPresence:
		return flag(present, 2), nil // present, and not swallowed
	case AttrICCInterfaceStatus:
		return flag(r.powered(), 0xFF), nil
	case AttrICCTypePerATR:
		return flag(present, 1), nil // asynchronous
	case AttrVendorName:
		return []byte(vendorName), nil
	case AttrVendorIFDType, AttrDeviceFriendlyName, AttrDeviceSystemName:
		return append([]byte(r.state.Name), 0), nil
	case AttrVendorIFDVersion:
		return order.AppendUint32(nil, 0x01000000), nil
	case AttrMaxInput:
		return order.AppendUint32(nil, MaxTransfer), nil
	case AttrCurrentProtocol:
		return order.AppendUint32(nil, uint32(r.state.Protocol)), nil
	}
	return nil, EUnsupported
}

func flag(on bool, value byte) []byte {
	if on {
		return []byte{value}
	}
	return []byte{0}
}

// control answers SCardControl. The one request that every program makes is
// for the list of features, a list of TLVs: there is no PIN pad and no display
// here, so it is empty.
func (r *Reader) control(ctx context.Context, h *handle, code uint32) ([]byte, error) {
	if err := r.free(ctx, h, lockWait); err != nil {
		return nil, err
	}
	defer r.srv.mu.Unlock()
	if code == GetFeatureRequest {
		return nil, nil
	}
	return nil, EUnsupported
}
