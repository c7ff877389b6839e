using MicroVm.Bus;
using MicroVm.Memory;

namespace Dispatch.Bench;

/// <summary>The same registers as delegates in two dictionaries, a common way to make them data.</summary>
internal sealed class DictionaryVirtioMmio : IHandWritten
{
    private const ulong Features = (1ul << 32) | (1ul << 29) | (1ul << 28);

    private readonly ResidentPage _page = new(4096);
    private readonly ushort[] _maxSizes = [256];
    private readonly uint[] _ready = new uint[1];
    private readonly Dictionary<uint, Func<uint>> _reads;
    private readonly Dictionary<uint, Action<uint>> _writes;
    private readonly uint[] _published = [0x010, 0x034, 0x044, 0x070, 0x0fc];
    private uint _deviceFeaturesSel, _driverFeaturesSel, _queueSel, _interruptStatus, _status, _generation;
    private ulong _accepted;

    internal DictionaryVirtioMmio()
    {
        _reads = new()
        {
            [0x000] = () => 0x74726976,
            [0x004] = () => 2,
            [0x008] = () => 4,
            [0x00c] = () => 0x4d56434d,
            [0x010] = () => _deviceFeaturesSel <= 1 ? (uint)(Features >> (int)(32 * _deviceFeaturesSel)) : 0,
            [0x034] = () => _queueSel < (uint)_maxSizes.Length ? _maxSizes[_queueSel] : 0u,
            [0x044] = () => _queueSel < (uint)_ready.Length ? _ready[_queueSel] : 0,
            [0x060] = () => Volatile.Read(ref _interruptStatus),
            [0x070] = () => _status,
            [0x0b0] = () => uint.MaxValue,
            [0x0b4] = () => uint.MaxValue,
            [0x0b8] = () => uint.MaxValue,
            [0x0bc] = () => uint.MaxValue,
            [0x0fc] = () => _generation,
        };
        _writes = new()
        {
            [0x014] = v => _deviceFeaturesSel = v,
            [0x020] = v => _accepted |= (ulong)v << (int)(32 * (_driverFeaturesSel & 1)),
            [0x024] = v => _driverFeaturesSel = v,
            [0x030] = v => _queueSel = v,
            [0x044] = v => _ready[_queueSel] = v & 1,
            [0x064] = v => Interlocked.And(ref _interruptStatus, ~v),
            [0x070] = v => (_status, _generation) = (v, v == 0 ? 0 : _generation),
        };
    }

    public IoStatus Read(uint offset, int width, out ulong value)
    {
        value = 0;
        if (width != 4) return IoStatus.BadWidth;
        if (!_reads.TryGetValue(offset, out Func<uint>? read)) return _writes.ContainsKey(offset) ? IoStatus.WriteOnly : IoStatus.NoRegister;
        value = read();
        return IoStatus.Ok;
    }

    public IoStatus Write(uint offset, int width, ulong value)
    {
        if (width != 4) return IoStatus.BadWidth;
        if (!_writes.TryGetValue(offset, out Action<uint>? write)) return _reads.ContainsKey(offset) ? IoStatus.ReadOnly : IoStatus.NoRegister;
        write((uint)value);
        foreach (uint register in _published) _page.Store(register, _reads[register]());
        return IoStatus.Ok;
    }
}
