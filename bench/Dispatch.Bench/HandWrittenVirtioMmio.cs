using MicroVm.Bus;
using MicroVm.Memory;

namespace Dispatch.Bench;

/// <summary>virtio-mmio as one writes it by hand: one switch for reads, one for writes, the page kept true at the end. Only what the script touches has an effect.</summary>
internal sealed class HandWrittenVirtioMmio : IHandWritten
{
    private const ulong Features = (1ul << 32) | (1ul << 29) | (1ul << 28);
    private const uint Accepted = 4, Selected = 8;

    private readonly ResidentPage _page = new(4096);
    private readonly ushort[] _maxSizes = [256];
    private readonly uint[] _ready = new uint[1];
    private uint _deviceFeaturesSel, _driverFeaturesSel, _queueSel, _interruptStatus, _status, _generation;
    private ulong _accepted;

    public IoStatus Read(uint offset, int width, out ulong value)
    {
        value = 0;
        if (offset >= 0x100) return IoStatus.NoRegister;
        if (width != 4) return IoStatus.BadWidth;
        switch (offset)
        {
            case 0x000: value = 0x74726976; return IoStatus.Ok;
            case 0x004: value = 2; return IoStatus.Ok;
            case 0x008: value = 4; return IoStatus.Ok;
            case 0x00c: value = 0x4d56434d; return IoStatus.Ok;
            case 0x010: value = DeviceFeatures; return IoStatus.Ok;
            case 0x034: value = QueueNumMax; return IoStatus.Ok;
            case 0x044: value = QueueReady; return IoStatus.Ok;
            case 0x060: value = Volatile.Read(ref _interruptStatus); return IoStatus.Ok;
            case 0x070: value = _status; return IoStatus.Ok;
            case 0x0b0 or 0x0b4 or 0x0b8 or 0x0bc: value = uint.MaxValue; return IoStatus.Ok;
            case 0x0fc: value = _generation; return IoStatus.Ok;
            case 0x014 or 0x020 or 0x024 or 0x030 or 0x038 or 0x050 or 0x064 or 0x080 or 0x084 or 0x090 or 0x094 or 0x0a0 or 0x0a4: return IoStatus.WriteOnly;
            default: return IoStatus.NoRegister;
        }
    }

    public IoStatus Write(uint offset, int width, ulong value)
    {
        if (offset >= 0x100) return IoStatus.NoRegister;
        if (width != 4) return IoStatus.BadWidth;
        switch (offset)
        {
            case 0x014: _deviceFeaturesSel = (uint)value; break;
            case 0x020:
                if ((_status & (Accepted | Selected)) != Accepted) return IoStatus.WrongState;
                _accepted |= value << (int)(32 * (_driverFeaturesSel & 1));
                break;
            case 0x024: _driverFeaturesSel = (uint)value; break;
            case 0x030: _queueSel = (uint)value; break;
            case 0x044:
                if (_queueSel >= (uint)_ready.Length) return IoStatus.NoSuchIndex;
                _ready[_queueSel] = (uint)value & 1;
                break;
            case 0x064: Interlocked.And(ref _interruptStatus, ~(uint)value); break;
            case 0x070: (_status, _generation) = ((uint)value, value == 0 ? 0 : _generation); break;
            case 0x000 or 0x004 or 0x008 or 0x00c or 0x010 or 0x034 or 0x060 or 0x0b0 or 0x0b4 or 0x0b8 or 0x0bc or 0x0fc: return IoStatus.ReadOnly;
            default: return IoStatus.NoRegister;
        }
        Publish();
        return IoStatus.Ok;
    }

    private uint DeviceFeatures => _deviceFeaturesSel <= 1 ? (uint)(Features >> (int)(32 * _deviceFeaturesSel)) : 0;

    private uint QueueNumMax => _queueSel < (uint)_maxSizes.Length ? _maxSizes[_queueSel] : 0u;

    private uint QueueReady => _queueSel < (uint)_ready.Length ? _ready[_queueSel] : 0;

    private void Publish()
    {
        _page.Store(0x010, DeviceFeatures);
        _page.Store(0x034, QueueNumMax);
        _page.Store(0x044, QueueReady);
        _page.Store(0x070, _status);
        _page.Store(0x0fc, _generation);
    }
}
