using MicroVm.Devices;
using MicroVm.Pci;

namespace MicroVm.Virtio.Pci;

/// <summary>The interrupt pin of a virtio function (Virtio 1.2, 4.1.4.5): up while its interrupt status is not 0, MSI-X is off and Command does not disable it.</summary>
internal sealed class VirtioPciPin : IIntxSource, IDisposable
{
    // Innermost but for the router's: held for two stores and a signal.
    private readonly Lock _lock = new();
    private readonly IntxLine _line;
    private readonly VirtioPciIsr _isr;
    private readonly MsixTable _msix;
    private readonly PciHeader0 _header;
    private bool _up, _gone;

    internal VirtioPciPin(IntxLine line, VirtioPciIsr isr, MsixTable msix, PciHeader0 header)
    {
        (_line, _isr, _msix, _header) = (line, isr, msix, header);
        isr.Changed = Settle;
        line.Add(this);
    }

    /// <summary>A cause came or went, or the guest wrote configuration space: shows it in Status, and a pin that goes up signals. From any thread.</summary>
    internal void Settle()
    {
        lock (_lock)
        {
            if (_gone) return;
            bool cause = _isr.Peek != 0, up = cause && !_msix.Enabled && !_header.LineIsOff;
            _header.Pending = cause;
            if (up && !_up) _line.Raise();
            _up = up;
        }
    }

    void IIntxSource.LineEnded()
    {
        lock (_lock)
        {
            if (_up && !_gone) _line.Raise();
        }
    }

    /// <summary>Touches the configuration space no more.</summary>
    public void Dispose()
    {
        _line.Remove(this);
        lock (_lock) _gone = true;
    }
}
