using MicroVm.Diagnostics;

namespace MicroVm.Bus;

/// <summary>The one place where guest accesses meet devices: looks the block up, calls it under its gate, decides what the guest reads on a refusal, counts and traces.</summary>
/// <remarks>Nothing is allocated here. A refused write is dropped; a refused read gives all ones, or 0 where the block's declaration says so.</remarks>
internal sealed class GuestBus(AddressSpace space, AccessTrace trace, GuestErrors errors, IAccessObserver? observer)
{
    /// <summary>The addresses.</summary>
    internal AddressSpace Space => space;

    /// <summary>Reads for vCPU <paramref name="vcpu"/>; the value is what the guest gets, whatever happened.</summary>
    internal ulong Read(int vcpu, ulong address, int width)
    {
        AddressSpace.Entry[] view = space.View;
        IRegisterBlock? block = AddressSpace.Find(view, address, width, out uint offset);
        IoStatus status = IoStatus.NoDevice;
        ulong value = 0;
        if (block is not null)
        {
            lock (block.Gate)
            {
                if (IsThere(block, view, address, width)) status = block.Read(offset, width, out value);
            }
        }
        if (status != IoStatus.Ok) value = block is null && space.IsVacated(address) ? 0 : Refused(block, status);
        value &= Mask(width);
        Note(block, address, offset, width, value, write: false, status, vcpu);
        return value;
    }

    /// <summary>Writes for vCPU <paramref name="vcpu"/>.</summary>
    internal void Write(int vcpu, ulong address, int width, ulong value)
    {
        value &= Mask(width);
        AddressSpace.Entry[] view = space.View;
        IRegisterBlock? block = AddressSpace.Find(view, address, width, out uint offset);
        IoStatus status = IoStatus.NoDevice;
        if (block is not null)
        {
            lock (block.Gate)
            {
                if (IsThere(block, view, address, width)) status = block.Write(offset, width, value);
            }
        }
        Note(block, address, offset, width, value, write: true, status, vcpu);
    }

    // Between the look-up and the gate the block may have been taken away, and what it stood on is then gone.
    private bool IsThere(IRegisterBlock block, AddressSpace.Entry[] view, ulong address, int width) =>
        space.View == view || space.Find(address, width, out _) == block;

    private static ulong Refused(IRegisterBlock? block, IoStatus status) => status switch
    {
        IoStatus.WriteOnly or IoStatus.NoSuchIndex => 0,
        _ when block?.Info.ZeroOnBadWidth == true => 0,
        _ => ulong.MaxValue,
    };

    private void Note(IRegisterBlock? block, ulong address, uint offset, int width, ulong value, bool write, IoStatus status, int vcpu)
    {
        trace.Add(block, address, offset, width, value, write, status, vcpu);
        // Kernels look for hardware where there is none; only what a device refused is a mistake.
        if (status != IoStatus.Ok && block is not null) errors.Report(block.Info.Name, -1, Text(status), "offset", offset);
        observer?.OnAccess(space, new AccessTrace.Access(block, address, value, offset, (byte)width, (byte)vcpu, write, status));
    }

    private static string Text(IoStatus status) => status switch
    {
        IoStatus.NoRegister => "no such register",
        IoStatus.BadWidth => "access of a wrong width",
        IoStatus.ReadOnly => "write to a read-only register",
        IoStatus.WriteOnly => "read of a write-only register",
        IoStatus.WrongState => "write in a state that does not allow it",
        IoStatus.NoSuchIndex => "selector names nothing",
        _ => "refused",
    };

    private static ulong Mask(int width) => width >= 8 ? ulong.MaxValue : (1UL << (8 * width)) - 1;
}

/// <summary>Sees each access after it happened, on the vCPU's thread: <c>--trace</c>.</summary>
internal interface IAccessObserver
{
    void OnAccess(AddressSpace space, in AccessTrace.Access access);
}
