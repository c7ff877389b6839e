using MicroVm.Bus;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>Says where one of virtio's structures is.</summary>
public sealed partial class VirtioPciCap : IPciCapability
{
    private readonly VirtioPciCapType _type;
    private readonly uint _offset, _length;
    private readonly byte _next;

    internal VirtioPciCap(VirtioPciCapType type, uint offset, uint length, in CapabilityPlace place)
    {
        (_type, _offset, _length) = (type, offset, length);
        _next = place.Next;
        Initialize(place.Page);
    }

    void IPciCapability.Reset() { }

    private partial byte ReadNext() => _next;

    private partial byte ReadType() => (byte)_type;

    private partial uint ReadOffset() => _offset;

    private partial uint ReadLength() => _length;
}

/// <summary>Says where the doorbells are.</summary>
public sealed partial class VirtioPciNotifyCap : IPciCapability
{
    private readonly uint _length;
    private readonly byte _next;

    internal VirtioPciNotifyCap(uint length, in CapabilityPlace place)
    {
        _length = length;
        _next = place.Next;
        Initialize(place.Page);
    }

    void IPciCapability.Reset() { }

    private partial byte ReadNext() => _next;

    private partial uint ReadOffset() => VirtioPciConst.NotifyOffset;

    private partial uint ReadLength() => _length;
}

/// <summary>A window through which a driver without access to the BARs reaches them.</summary>
/// <remarks>Configuration space is read without an exit, so the window is filled when it is moved and when the registers behind it change; see docs/decisions/0043.</remarks>
public sealed partial class VirtioPciWindowCap : IPciCapability
{
    private readonly IRegisterBlock _target;
    private readonly byte _next;

    /// <param name="target">What stands at the beginning of BAR 0, seen as one block.</param>
    /// <param name="place">Where the guest reads it.</param>
    internal VirtioPciWindowCap(IRegisterBlock target, in CapabilityPlace place)
    {
        _target = target;
        _next = place.Next;
        Initialize(place.Page);
    }

    void IPciCapability.Reset()
    {
        ResetRegisters();
        Refresh();
    }

    /// <summary>Shows what stands in the window now.</summary>
    internal void Refresh()
    {
        ulong value = 0;
        bool open = IsOpen && _target.Read(_r.Offset, (int)_r.Length, out value) == IoStatus.Ok;
        _page.Store(Size - sizeof(uint), open ? (uint)value : uint.MaxValue);
    }

    private bool IsOpen => _r.Bar == 0 && _r.Length is 1 or 2 or 4 && _r.Offset % _r.Length == 0;

    private partial byte ReadNext() => _next;

    private partial void BarChanged(byte value) => Refresh();

    private partial void PlaceChanged(uint value) => Refresh();

    private partial IoStatus WriteData(uint offset, int width, ulong value)
    {
        if (!IsOpen || offset != 0 || width != (int)_r.Length) return IoStatus.Refused;
        IoStatus status = _target.Write(_r.Offset, width, value);
        Refresh();
        return status;
    }
}
